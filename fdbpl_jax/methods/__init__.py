"""Methods: combinations of a learner, a loss and a regularizer, with their settings."""

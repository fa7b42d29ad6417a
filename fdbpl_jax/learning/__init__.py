"""From a user's images to a classifier."""

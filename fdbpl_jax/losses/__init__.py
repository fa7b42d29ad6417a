"""What a learner is trained on."""

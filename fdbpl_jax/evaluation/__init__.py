"""Evaluation: features of test images, accuracy, rejection."""

"""Data sets, splits and images on disk."""

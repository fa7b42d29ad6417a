"""Checkpoints of other programs as ours."""

"""Learned prompts in use: prediction and evaluation."""

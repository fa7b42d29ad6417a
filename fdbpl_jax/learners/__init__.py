"""Learners: how learnable tensors enter the frozen towers."""

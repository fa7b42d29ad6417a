"""FDBPL: faster distillation-based prompt learning for CLIP, in JAX."""

__version__ = "0.1.0"

"""FDBPL: faster distillation-based prompt learning for CLIP, in JAX."""

import time

__version__ = "0.1.0"
STARTED = time.monotonic()  # when the program began, as nearly as it can tell

"""FDBPL: faster distillation-based prompt learning for CLIP, in JAX."""

import sys
import time

from fdbpl_jax.signals import end_by_signals

__version__ = "0.1.0"
STARTED = time.monotonic()  # when the program began, as nearly as it can tell

# A command from `python -m`, which has not even found its module yet: from here on a
# signal ends it in one line, while it imports its libraries too.
if sys.argv[:1] == ["-m"]:
    end_by_signals()

"""FDBPL: faster distillation-based prompt learning for CLIP, in JAX.

Public names: `Classifier`, `learn`, `LearnOptions`, `load_clip`, `open_table`; each is
loaded when asked for.
"""

import importlib
import sys
import time
from typing import Any

from fdbpl_jax.terminal.signals import end_by_signals

__version__ = "0.1.0"
STARTED = time.monotonic()  # when the program began, as nearly as it can tell

_PUBLIC = {
    "Classifier": "fdbpl_jax.classifier.classifier",
    "LearnOptions": "fdbpl_jax.learning.options",
    "learn": "fdbpl_jax.learning.learn",
    "load_clip": "fdbpl_jax.clip.model",
    "open_table": "fdbpl_jax.ril.table",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'fdbpl_jax' has no attribute '{name}'")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])


# A command from `python -m`, which has not even found its module yet: from here on a
# signal ends it in one line, while it imports its libraries too.
if sys.argv[:1] == ["-m"]:
    end_by_signals()

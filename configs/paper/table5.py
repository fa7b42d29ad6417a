"""The paper's table 5: teachers of several sizes.

  python -m fdbpl_jax.main --config=configs/paper/table5.py:small
  python -m fdbpl_jax.main --config=configs/paper/table5.py:large

use the embedded data, with the student as its own teacher and with the larger teacher.
`:large/imagenet` uses data sets on disk and the teacher given by --config.teacher; the
part before "/" is any name for that teacher.
"""

from ml_collections import ConfigDict

from configs import base2new
from fdbpl_jax.shapes import embedded


def get_config(part: str = "large") -> ConfigDict:
    """Return the settings for a teacher and, after "/", data sets."""
    teacher, _, datasets = part.partition("/")
    config = base2new.get_config(datasets or "shapes-negative")
    config.name = f"paper/table5/{teacher}"
    config.methods = "coop+fdbpl"
    if not datasets:
        config.teacher = str(embedded("student" if teacher == "small" else "teacher"))
    return config

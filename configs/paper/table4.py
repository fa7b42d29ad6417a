"""The paper's table 4: hard labels, and the teacher's full, MS and MR labels.

  python -m fdbpl_jax.main --config=configs/paper/table4.py:hard
  python -m fdbpl_jax.main --config=configs/paper/table4.py:full

and `:ms` and `:mr` are its rows on the embedded data, with K = 5 of 16 classes;
`:mr/sun397,dtd` uses data sets on disk, with the paper's K of 20.
"""

from ml_collections import ConfigDict

from configs import base2new


def get_config(part: str = "mr") -> ConfigDict:
    """Return the settings for a kind of label and, after "/", data sets."""
    label, _, datasets = part.partition("/")
    config = base2new.get_config(datasets or "shapes-negative")
    config.name = f"paper/table4/{label}"
    config.methods = "coop" if label == "hard" else "coop+fdbpl"
    if label == "hard":
        return config
    config.ril.label = label
    if label != "full" and not datasets:
        config.ril.keep = 5
    return config

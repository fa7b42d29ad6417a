"""The paper's figure 9: K, the number of labels stored per region.

  python -m fdbpl_jax.main --config=configs/paper/figure9.py:4

is one of its points on the embedded data, with K = 4 of 16 classes; `:20/sun397` uses
data sets on disk. `python -m fdbpl_jax.paper run figure9` runs all of them, each in a
separate process.
"""

from ml_collections import ConfigDict

from configs import base2new
from fdbpl_jax.errors import UserError


def get_config(part: str = "4") -> ConfigDict:
    """Return the settings for K and, after "/", data sets."""
    keep, _, datasets = part.partition("/")
    config = base2new.get_config(datasets or "shapes-negative")
    config.name = f"paper/figure9/{keep}"
    config.methods = "coop+fdbpl"
    if not keep.isdecimal():
        raise UserError(f"figure 9's K is '{keep}'", "Give a number: figure9.py:5.")
    config.ril.keep = int(keep)
    return config

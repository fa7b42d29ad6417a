"""The paper's table 3: base-to-new with 1 to 16 training images per class.

  python -m fdbpl_jax.main --config=configs/paper/table3.py

uses the embedded data; the paper's data sets are `:imagenet,food101`.
"""

from ml_collections import ConfigDict

from configs import base2new


def get_config(datasets: str = "shapes-negative") -> ConfigDict:
    """Return the settings for `datasets`, comma-separated."""
    config = base2new.get_config(datasets)
    config.name = "paper/table3"
    config.methods = "coop,coop+fdbpl"
    config.sweep.shots = (1, 2, 4, 8, 16)
    return config

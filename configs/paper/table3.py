"""The paper's table 3: 1 to 16 training images a class, base-to-new.

  python -m fdbpl_jax.main --config=configs/paper/table3.py

is on the embedded world; the paper's is `:imagenet,food101`.
"""

from ml_collections import ConfigDict

from configs import base2new


def get_config(datasets: str = "shapes-negative") -> ConfigDict:
    """The settings for `datasets`, comma-separated."""
    config = base2new.get_config(datasets)
    config.name = "paper/table3"
    config.methods = "coop,coop+fdbpl"
    config.sweep.shots = (1, 2, 4, 8, 16)
    return config

"""The paper's table 1: prompts of one data set, tested on others.

  python -m fdbpl_jax.main --config=configs/paper/table1.py

is on the embedded world; `:imagenet` trains on ImageNet and tests on the ten others.
"""

from ml_collections import ConfigDict

from configs import base2new, cross_dataset


def get_config(datasets: str = base2new.SHAPES) -> ConfigDict:
    """The settings for the first of `datasets`, comma-separated, and the rest."""
    config = cross_dataset.get_config(datasets)
    config.name = "paper/table1"
    config.methods = "promptsrc,promptsrc+kdpl,promptsrc+fdbpl"
    return config

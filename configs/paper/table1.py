"""The paper's table 1: cross-dataset transfer.

  python -m fdbpl_jax.main --config=configs/paper/table1.py

uses the embedded data; `:imagenet` trains on ImageNet and tests on the ten others, too.
"""

from ml_collections import ConfigDict

from configs import base2new, cross_dataset


def get_config(datasets: str = base2new.SHAPES) -> ConfigDict:
    """Return the settings: train on the first of `datasets`, test on all of them."""
    config = cross_dataset.get_config(datasets)
    config.name = "paper/table1"
    config.methods = "promptsrc,promptsrc+kdpl,promptsrc+fdbpl"
    return config

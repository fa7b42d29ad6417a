"""Prompts trained on all classes of one data set, tested on others (CoCoOp).

On the embedded shapes world, with the pair of tiny CLIPs that is shipped:

  python -m fdbpl_jax.main --config=configs/cross_dataset.py

On real data sets, trained on the first of them:

  python -m fdbpl_jax.main --config=configs/cross_dataset.py:caltech101,dtd,eurosat \
      --config.data.root=DATA --config.student=STUDENT --config.teacher=TEACHER

`:imagenet` alone is the paper's: from ImageNet to the ten others.
"""

from ml_collections import ConfigDict

from configs import base2new


def get_config(datasets: str = base2new.SHAPES) -> ConfigDict:
    """The settings for the first of `datasets`, comma-separated, and the rest."""
    source, _, targets = datasets.partition(",")
    config = base2new.get_config(source)
    config.protocol = "cross_dataset"
    config.data.targets = targets or (base2new.OTHERS if source == "imagenet" else "")
    return config

"""Cross-dataset transfer: all classes of one data set, tested on others (CoCoOp).

On the embedded shapes data, with the embedded pair of tiny CLIPs:

  python -m fdbpl_jax.main --config=configs/cross_dataset.py

On other data sets, trained on the first of them:

  python -m fdbpl_jax.main --config=configs/cross_dataset.py:caltech101,dtd,eurosat \
      --config.data.root=DATA --config.student=STUDENT --config.teacher=TEACHER

`:imagenet` alone is the paper's setting: from ImageNet to the ten other data sets.
"""

from ml_collections import ConfigDict

from configs import base2new


def get_config(datasets: str = base2new.SHAPES) -> ConfigDict:
    """Return the settings: train on the first of `datasets`, test on all of them."""
    source, _, targets = datasets.partition(",")
    config = base2new.get_config(source)
    config.protocol = "cross_dataset"
    config.data.targets = targets or (base2new.OTHERS if source == "imagenet" else "")
    return config

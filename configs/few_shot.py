"""Few-shot learning: all classes, with 1, 2, 4, 8 and 16 images per class (CoOp).

On the embedded shapes data, with the embedded pair of tiny CLIPs:

  python -m fdbpl_jax.main --config=configs/few_shot.py

On other data sets, separated by commas:

  python -m fdbpl_jax.main --config=configs/few_shot.py:caltech101,dtd \
      --config.data.root=DATA --config.student=STUDENT --config.teacher=TEACHER
"""

from ml_collections import ConfigDict

from configs import base2new


def get_config(datasets: str = "shapes-negative") -> ConfigDict:
    """Return the settings for `datasets`, comma-separated."""
    config = base2new.get_config(datasets)
    config.protocol = "few_shot"
    config.sweep.shots = (1, 2, 4, 8, 16)
    return config

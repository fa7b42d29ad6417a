"""Few-shot learning: all classes, from 1, 2, 4, 8 and 16 images of each (CoOp).

On the embedded shapes world, with the pair of tiny CLIPs that is shipped:

  python -m fdbpl_jax.main --config=configs/few_shot.py

On real data sets, several with commas:

  python -m fdbpl_jax.main --config=configs/few_shot.py:caltech101,dtd \
      --config.data.root=DATA --config.student=STUDENT --config.teacher=TEACHER
"""

from ml_collections import ConfigDict

from configs import base2new


def get_config(datasets: str = "shapes-negative") -> ConfigDict:
    """The settings for `datasets`, comma-separated."""
    config = base2new.get_config(datasets)
    config.protocol = "few_shot"
    config.sweep.shots = (1, 2, 4, 8, 16)
    return config

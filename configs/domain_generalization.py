"""Prompts trained on one data set, tested on the same classes in other images (CoOp).

On the embedded shapes world, from plain pictures to two kinds of changed ones:

  python -m fdbpl_jax.main --config=configs/domain_generalization.py

From ImageNet to its variants V2, Sketch, A and R:

  python -m fdbpl_jax.main --config=configs/domain_generalization.py:imagenet \
      --config.data.root=DATA --config.student=STUDENT --config.teacher=TEACHER
"""

from ml_collections import ConfigDict

from configs import base2new

_VARIANTS = "imagenetv2,imagenet_sketch,imagenet_a,imagenet_r"


def get_config(
    datasets: str = "shapes-plain,shapes-negative,shapes-both",
) -> ConfigDict:
    """The settings for the first of `datasets`, comma-separated, and the rest."""
    source, _, targets = datasets.partition(",")
    config = base2new.get_config(source)
    config.protocol = "domain_generalization"
    config.data.targets = targets or (_VARIANTS if source == "imagenet" else "")
    return config

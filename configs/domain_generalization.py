"""Domain generalisation: other images of the same classes (CoOp).

On the embedded shapes data, from plain images to two kinds of changed images:

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
    """Return the settings: train on the first of `datasets`, test on all of them."""
    source, _, targets = datasets.partition(",")
    config = base2new.get_config(source)
    config.protocol = "domain_generalization"
    config.data.targets = targets or (_VARIANTS if source == "imagenet" else "")
    return config

"""Base-to-new with CoOp, CoOp+KDPL and CoOp+FDBPL, three seeds.

On the embedded shapes world, with the pair of tiny CLIPs that is shipped:

  python -m fdbpl_jax.main --config=configs/base2new.py

Two minutes on 2 CPU cores. On shapes-negative CoOp ends at 68 / 61 (base / new, per
cent), the student asked with "a photo of a" at 11 / 18.

On real data sets (`:caltech101`, `:dtd`, … several with commas, `:folder`, or
`:all` for the eleven of the paper), with any CLIP pair in Hugging Face layout:

  python -m fdbpl_jax.main --config=configs/base2new.py:caltech101,eurosat \
      --config.data.root=DATA --config.student=STUDENT --config.teacher=TEACHER

Ten minutes on 2 CPU cores for caltech101's 50 classes with models of 11 and 13 MB,
mostly KDPL's teacher; its numbers are in README.md.
"""

from ml_collections import ConfigDict

from fdbpl_jax.experiments.settings import default_config

SHAPES = "shapes-negative,shapes-both,shapes-plain"
OTHERS = (  # than ImageNet
    "caltech101,oxford_pets,stanford_cars,oxford_flowers,food101,fgvc_aircraft,sun397,"
    "dtd,eurosat,ucf101"
)


def get_config(datasets: str = "") -> ConfigDict:
    """The settings for `datasets`, comma-separated; the embedded ones if empty."""
    config = default_config()
    if datasets and not datasets.startswith("shapes"):
        config.data.datasets = f"imagenet,{OTHERS}" if datasets == "all" else datasets
        return config
    config.data.datasets = datasets or SHAPES
    # Chosen on validation images: docs/defaults.md.
    config.tuned.coop.lr = 0.02
    config.tuned.coop_kdpl.lr = 0.01
    for name in ("coop_fdbpl", "coop_fdbpl_release"):
        config.tuned[name].lr = 0.02
        config.tuned[name].batch_size = 32
    return config

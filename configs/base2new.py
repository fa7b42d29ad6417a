"""Base-to-new with CoOp, CoOp+KDPL and CoOp+FDBPL, three seeds.

On the embedded shapes data, with the embedded pair of tiny CLIPs:

  python -m fdbpl_jax.main --config=configs/base2new.py

This takes two minutes on 2 CPU cores. On shapes-negative the accuracy of CoOp is 68 /
61 (base / new, percent) and that of the student with "a photo of a" 11 / 18.

On other data sets (`:caltech101`, `:dtd`, …, several separated by commas; `:folder`;
`:all` for the eleven of the paper), with any pair of CLIPs in Hugging Face layout:

  python -m fdbpl_jax.main --config=configs/base2new.py:caltech101,eurosat \
      --config.data.root=DATA --config.student=STUDENT --config.teacher=TEACHER

For caltech101 (50 base classes) and models of 11 and 13 MB this takes ten minutes on 2
CPU cores, mostly for KDPL's teacher. The results are in README.md.
"""

from ml_collections import ConfigDict

from fdbpl_jax.experiments.settings import default_config

SHAPES = "shapes-negative,shapes-both,shapes-plain"
OTHERS = (  # than ImageNet
    "caltech101,oxford_pets,stanford_cars,oxford_flowers,food101,fgvc_aircraft,sun397,"
    "dtd,eurosat,ucf101"
)


def get_config(datasets: str = "") -> ConfigDict:
    """Return the settings for `datasets`, comma-separated; empty: the embedded ones."""
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

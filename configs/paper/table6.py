"""The paper's table 6: domain generalisation with and without the difference losses.

  python -m fdbpl_jax.main --config=configs/paper/table6.py

uses the embedded data; `:imagenet` tests on ImageNet and its variants V2, Sketch, A, R.
"""

from ml_collections import ConfigDict

from configs import domain_generalization


def get_config(
    datasets: str = "shapes-plain,shapes-negative,shapes-both",
) -> ConfigDict:
    """Return the settings: train on the first of `datasets`, test on all of them."""
    config = domain_generalization.get_config(datasets)
    config.name = "paper/table6"
    config.methods = "coop+fdbpl,promptsrc+fdbpl"
    config.sweep.lambda_diff1 = (0.0, config.fdbpl.lambda_diff1)
    config.sweep.lambda_diff2 = (0.0, config.fdbpl.lambda_diff2)
    return config

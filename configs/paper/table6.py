"""The paper's table 6: domain generalisation, the two difference losses on and off.

  python -m fdbpl_jax.main --config=configs/paper/table6.py

is on the embedded world; `:imagenet` tests on ImageNet's variants V2, Sketch, A and R.
"""

from ml_collections import ConfigDict

from configs import domain_generalization


def get_config(
    datasets: str = "shapes-plain,shapes-negative,shapes-both",
) -> ConfigDict:
    """The settings for the first of `datasets`, comma-separated, and the rest."""
    config = domain_generalization.get_config(datasets)
    config.name = "paper/table6"
    config.methods = "coop+fdbpl,promptsrc+fdbpl"
    config.sweep.lambda_diff1 = (0.0, config.fdbpl.lambda_diff1)
    config.sweep.lambda_diff2 = (0.0, config.fdbpl.lambda_diff2)
    return config

"""The paper's figure 10: KDPL, and FDBPL's loss with its parts added one by one.

  python -m fdbpl_jax.main --config=configs/paper/figure10.py:pos

and `:kdpl`, `:neg`, `:diff1` and `:diff2` are its lines on the embedded data;
`:pos/sun397` uses data sets on disk. `python -m fdbpl_jax.paper run figure10` runs all
of them, each in a separate process.
"""

from ml_collections import ConfigDict

from configs import base2new
from fdbpl_jax.errors import unknown_name

# In the order in which the losses are added.
_WEIGHTS = "lambda_neg", "lambda_diff1", "lambda_diff2"
_ADDED = {"pos": 0, "neg": 1, "diff1": 2, "diff2": 3}


def get_config(part: str = "diff2") -> ConfigDict:
    """Return the settings for the last part of the loss and, after "/", data sets."""
    last, _, datasets = part.partition("/")
    config = base2new.get_config(datasets or "shapes-negative")
    if last not in ("kdpl", *_ADDED):
        raise unknown_name("part of figure 10", last, ("kdpl", *_ADDED))
    config.name = f"paper/figure10/{last}"
    config.methods = "coop+kdpl" if last == "kdpl" else "coop+fdbpl"
    if last != "kdpl":
        for name in _WEIGHTS[_ADDED[last] :]:
            config.fdbpl[name] = 0.0
    return config

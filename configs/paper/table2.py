"""The paper's table 2: base-to-new, methods that learn by labels and by a teacher.

  python -m fdbpl_jax.main --config=configs/paper/table2.py

is on the embedded world; `:all`, or names with commas, on data sets on disk.
"""

from ml_collections import ConfigDict

from configs import methods


def get_config(datasets: str = "shapes-negative,shapes-plain") -> ConfigDict:
    """The settings for `datasets`, comma-separated."""
    config = methods.get_config(datasets)
    config.name = "paper/table2"
    config.methods = (
        "coop,vpt,maple,promptsrc,coop+kdpl,coop+fdbpl,promptsrc+kdpl,promptsrc+fdbpl"
    )
    return config

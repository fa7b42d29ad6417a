"""The paper's table 2: base-to-new, methods with labels and methods with a teacher.

  python -m fdbpl_jax.main --config=configs/paper/table2.py

uses the embedded data; `:all`, or names separated by commas, data sets on disk.
"""

from ml_collections import ConfigDict

from configs import methods


def get_config(datasets: str = "shapes-negative,shapes-plain") -> ConfigDict:
    """Return the settings for `datasets`, comma-separated."""
    config = methods.get_config(datasets)
    config.name = "paper/table2"
    config.methods = (
        "coop,vpt,maple,promptsrc,coop+kdpl,coop+fdbpl,promptsrc+kdpl,promptsrc+fdbpl"
    )
    return config

"""Cells that were trained for a moment, two seeds of two methods."""

import pytest

from fdbpl_jax.protocols.run import run
from fdbpl_jax.run_config import default_config, run_config


@pytest.fixture(scope="session", name="workdir")
def _workdir(tmp_path_factory):
    config = default_config()
    config.update_from_flattened_dict(
        {
            "data.shots": 1,
            "methods": "coop,coop+fdbpl",
            "seeds": (1, 2),
            "optim.epochs": 10,
            "optim.lr": 0.1,
        }
    )
    workdir = tmp_path_factory.mktemp("visualize")
    run(run_config(config), workdir, "the test")
    return workdir

"""Cells that were trained for a moment, two seeds of two methods."""

import pytest
from support.protocol_runs import rows_of


@pytest.fixture(scope="session", name="workdir")
def _workdir(tmp_path_factory):
    changes = {"data.shots": 1, "methods": "coop,coop+fdbpl"}
    changes |= {"optim.epochs": 10, "optim.lr": 0.1}
    workdir = tmp_path_factory.mktemp("visualize")
    rows_of("base2new", workdir, **changes)
    return workdir

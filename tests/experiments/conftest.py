"""Runs that the tests of protocols and of plans look at."""

import pytest
from support.protocol_runs import rows_of


@pytest.fixture(scope="session", name="finished")
def _finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("protocols")
    few = rows_of("few_shot", workdir, **{"sweep.shots": (1, 2)})
    return workdir, few, rows_of("cross_dataset", workdir)

"""Classes of the same tokens are refused before anything is computed."""

import pytest
from PIL import Image

from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.plan import plan
from fdbpl_jax.experiments.run import prepare_all, run
from fdbpl_jax.experiments.settings import default_config, run_config


def test_a_run_refuses_them_before_it_computes(tmp_path):
    data, workdir = tmp_path / "data", tmp_path / "runs"
    for number, name in enumerate(("red-dot", "red - dot", "blue", "green")):
        (data / name).mkdir(parents=True)
        for place in range(3):
            colour = (60 * number, 80 * place, 0)
            Image.new("RGB", (8, 8), colour).save(data / name / f"{place}.png")
    config = default_config()
    config.methods, config.data.datasets = "coop", "folder"
    config.data.root = str(data)
    config = run_config(config)
    for attempt in (run, plan, prepare_all):
        with pytest.raises(
            UserError, match=r"'red - dot' and 'red-dot' .*read the same"
        ):
            attempt(config, workdir, *([""] if attempt is run else []))
    assert not workdir.exists()

"""What training a cell cost is its own, or not told."""

import json
from pathlib import Path

import pytest
from support.cells import cell as result_of
from support.protocol_runs import small

from fdbpl_jax.config import PromptConfig
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.experiments import costs
from fdbpl_jax.experiments.cells import Cell
from fdbpl_jax.experiments.settings import run_config
from fdbpl_jax.experiments.sweep import settings_of
from fdbpl_jax.methods.table import METHODS


def cell_of(method: str, directory: Path) -> Cell:
    config = run_config(small("few_shot", methods=method))
    dataset = Dataset("pets", Path(), ("cat", "dog"), "a {}.", (), (), ())
    return Cell(
        *(METHODS[method], PromptConfig(), *settings_of(config, method)),
        seed=1,
        dataset=dataset,
        names=dataset.class_names,
        directory=directory,
    )


@pytest.fixture(name="memory")
def _memory(monkeypatch):
    """Bytes in use and at most, as each call is to measure them."""
    measured: list[tuple[int, int]] = []
    monkeypatch.setattr(costs, "_memory", lambda: measured.pop(0))
    monkeypatch.setattr(costs, "_TRAINED", set())
    return measured


def test_memory_is_what_training_used_above_what_was_in_use(memory, tmp_path):
    memory += [(40, 100), (60, 130)]
    start = costs.begin([cell_of("coop", tmp_path)])
    assert costs.memory_above(start) == 90
    assert start.load >= 0


def test_memory_below_an_earlier_peak_is_not_known(memory, tmp_path):
    memory += [(40, 100), (90, 100)]
    assert costs.memory_above(costs.begin([cell_of("coop", tmp_path)])) is None


def test_memory_after_another_method_is_not_known(memory, tmp_path):
    memory += [(40, 100), (40, 130), (40, 150)]
    costs.begin([cell_of("coop", tmp_path)])
    start = costs.begin([cell_of("coop+fdbpl", tmp_path)])
    assert costs.memory_above(start) is None


def write_epochs(directory: Path, *seconds: float) -> None:
    lines = [
        json.dumps({"step": epoch, "epoch": epoch, "epoch_seconds": value})
        for epoch, value in enumerate(seconds)
    ]
    (directory / "metrics.jsonl").write_text("\n".join(lines) + "\n")


def test_a_result_of_an_earlier_version_gets_its_times(tmp_path):
    older = result_of("pets", "coop+fdbpl", 1, 60.0, 50.0, 9.0, 0.0, 4, 0).replaced(
        {"epochs_seconds": None, "compile_seconds": None}
    )
    trained = cell_of("coop+fdbpl", tmp_path)
    assert costs.completed(older, trained, 0.0) == older  # nothing tells them
    write_epochs(tmp_path, 7.0)
    assert costs.completed(older, trained, 0.0) == older  # compiling is in it
    write_epochs(tmp_path, 7.0, 0.5, 1.5, 1.0)
    timed = costs.completed(older, trained, 12.0)
    assert (timed.epochs_seconds, timed.compile_seconds) == (4.0, 6.0)
    assert timed.table_seconds == 12.0
    reading_none = costs.completed(older, cell_of("coop+kdpl", tmp_path), 12.0)
    assert reading_none.table_seconds is None
    assert costs.completed(timed.replaced({"epochs_seconds": 3.0}), trained, 0.0) == (
        timed.replaced({"epochs_seconds": 3.0})
    )

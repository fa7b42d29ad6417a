"""The speed of this machine at the parts of a run, measured on a few of its images.

The probe runs what the program runs, in a temporary folder: test features, a small
table, and two short trainings of each method. The first of the two compiles, the second
does not.
"""

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax.config import RunConfig, SweepConfig
from fdbpl_jax.data.splits import few_shot
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.experiments.cell import run_cells
from fdbpl_jax.experiments.cells import Cell, RunInputs, batches_of
from fdbpl_jax.experiments.shared_inputs import SharedInputs, prepare

_TEST_IMAGES = 64


class Rates(NamedTuple):
    """Seconds of a run's parts."""

    image: float  # a test image through both towers
    region: float  # a stored region
    step: Mapping[str, float]  # an update, by method
    compile: Mapping[str, float]  # before the first update, by method


def probe(config: RunConfig, dataset: Dataset, inputs: RunInputs) -> Rates:
    """Measure the parts of a run on one data set; takes seconds to a minute.

    Raises:
      UserError: what the run itself would raise.
    """
    quick = _shortened(config, len(dataset.class_names))
    few = few_shot(dataset, quick.data.shots, 0)
    # Evenly spaced, so that all classes have some.
    test = dataset.test[:: max(1, len(dataset.test) // _TEST_IMAGES)]
    cut = dataclasses.replace(few, val=(), test=test)
    with tempfile.TemporaryDirectory() as folder:
        prepare(quick, cut, (), inputs, Path(folder) / "first")  # compiles
        workdir = Path(folder) / "timed"
        shared = prepare(quick, cut, (), inputs, workdir)
        spent = _train_seconds(quick, shared)
    facts = shared.table_facts
    steps = {cell.method.name: steps_of(quick, cell) for cell in shared.cells}
    return Rates(
        shared.feature_seconds / len(cut.test),
        facts.seconds / facts.regions if facts else 0.0,
        {name: second / steps[name] for name, (_, second) in spent.items()},
        {name: max(0.0, first - second) for name, (first, second) in spent.items()},
    )


def _shortened(config: RunConfig, classes: int) -> RunConfig:
    """The run with two seeds, two epochs, and images for two batches of any method."""
    largest = max(optim.batch_size for _, optim in config.optim)
    optim = [(m, dataclasses.replace(o, epochs=2)) for m, o in config.optim]
    shots = max(1, -(-2 * largest // classes))
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, shots=shots, targets=()),
        seeds=(1, 2),
        optim=tuple(optim),
        ril=dataclasses.replace(config.ril, path="", regions=0),
        sweep=SweepConfig(),
        eval_split="test",
        tensorboard=False,
    )


def _train_seconds(config: RunConfig, shared: SharedInputs) -> dict[str, list[float]]:
    """Seconds of the first and the second training of each method."""
    spent: dict[str, list[float]] = {method: [] for method in config.methods}
    for cell in shared.cells:
        (result,) = run_cells(config, shared, [cell])
        spent[cell.method.name].append(result.train_seconds)
    return spent


def steps_of(config: RunConfig, cell: Cell) -> int:
    """Updates of the cell's training."""
    return cell.setting.optim.epochs * batches_of(config, cell)[1]

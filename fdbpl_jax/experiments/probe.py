"""How fast this machine is at a run's parts, measured on a few of its own images.

The probe runs what the program runs, in a temporary folder: test features, a small
table, and two short trainings of each method. The first of the two compiles, the second
does not.
"""

import dataclasses
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax.clip.model import Clip
from fdbpl_jax.config import RunConfig, SweepConfig
from fdbpl_jax.data.pipeline import epoch_steps
from fdbpl_jax.data.splits import few_shot
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.experiments.assemble import Stage
from fdbpl_jax.experiments.cell import run_cells
from fdbpl_jax.experiments.ril_table import training_table
from fdbpl_jax.experiments.run import jobs_of
from fdbpl_jax.experiments.shared_inputs import draw
from fdbpl_jax.experiments.test_sets import exams_of
from fdbpl_jax.experiments.training_sets import TrainedOn
from fdbpl_jax.methods.method import METHODS
from fdbpl_jax.ril.table import Table

_TEST_IMAGES = 64
_EPOCHS = 2


class Rates(NamedTuple):
    """Seconds of a run's parts.

    image: a test image through both towers. region: a stored region. step: of each
    method, an update. compile: of each method, before its first update.
    """

    image: float
    region: float
    step: Mapping[str, float]
    compile: Mapping[str, float]


def probe(config: RunConfig, dataset: Dataset, student: Clip, teacher: Clip) -> Rates:
    """Measures the parts of a run on one data set; takes seconds to a minute.

    Args:
      config: of the run.
      dataset: whose images and classes are used, a few images of each.
      student, teacher: the models.

    Raises:
      UserError: what the run itself would raise.
    """
    quick = _shortened(config, len(dataset.class_names))
    some = few_shot(dataset, quick.data.shots, 0)
    cut = dataclasses.replace(some, val=(), test=_spread(dataset.test, _TEST_IMAGES))
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        trained_on = draw(quick, cut, student, workdir / "features")
        image = _image_seconds(quick, cut, student, teacher, workdir)
        exams = exams_of(quick, student, cut, (), workdir / "features")
        _table(quick, trained_on, student, teacher, workdir / "first")  # compiles
        table, region = _table(quick, trained_on, student, teacher, workdir)
        stage = Stage(student, teacher, exams, table)
        spent = _train_seconds(quick, cut.name, trained_on, stage, workdir)
    steps = {
        m: steps_of(quick, m, len(one.train)) for (m, *_), one in trained_on.items()
    }
    return Rates(
        image,
        region,
        {m: second / steps[m] for m, (_, second) in spent.items()},
        {m: max(0.0, first - second) for m, (first, second) in spent.items()},
    )


def _shortened(config: RunConfig, classes: int) -> RunConfig:
    """The run with two seeds, two epochs, and images for two batches of any method."""
    largest = max(optim.batch_size for _, optim in config.optim)
    optim = [(m, dataclasses.replace(o, epochs=_EPOCHS)) for m, o in config.optim]
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


def _spread(examples: tuple, count: int) -> tuple:
    """About `count` of them, over all classes."""
    return examples[:: max(1, len(examples) // count)]


def _image_seconds(
    config: RunConfig, dataset: Dataset, student: Clip, teacher: Clip, workdir: Path
) -> float:
    for cache in ("warm", "timed"):  # the first compiles
        start = time.perf_counter()
        for clip in (student, teacher):
            exams_of(config, clip, dataset, (), workdir / cache)
    return (time.perf_counter() - start) / len(dataset.test)


def _table(
    config: RunConfig,
    trained_on: TrainedOn,
    student: Clip,
    teacher: Clip,
    workdir: Path,
) -> tuple[Table | None, float]:
    """The small table and its seconds a region; None and 0 where none is read."""
    table, facts = training_table(config, trained_on, student, teacher, workdir)
    return table, facts.seconds / facts.regions if facts else 0.0


def _train_seconds(
    config: RunConfig, dataset: str, trained_on: TrainedOn, stage: Stage, workdir: Path
) -> dict[str, list[float]]:
    """Seconds of the first and the second training of each method."""
    spent: dict[str, list[float]] = {method: [] for method in config.methods}
    for job in jobs_of(config, dataset, trained_on, workdir):
        (cell,) = run_cells(config, stage, [job])
        spent[job.method].append(cell.train_seconds)
    return spent


def steps_of(config: RunConfig, method: str, images: int) -> int:
    """Updates that a training of the method on so many images takes."""
    optim = config.optim_of(method)
    views = config.ril.regions_per_epoch if METHODS[method].reads_table else 1
    return optim.epochs * epoch_steps(images * views, optim.batch_size)[1]

"""What a run would do, and about how long: the cells, the tables, the time."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax.clip.model import Clip
from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.methods.method import METHODS
from fdbpl_jax.protocols.assemble import Job
from fdbpl_jax.protocols.cell import is_finished
from fdbpl_jax.protocols.prepare import dataset_of, draw, load_pair
from fdbpl_jax.protocols.probe import Rates, probe, steps_of
from fdbpl_jax.protocols.run import jobs_of
from fdbpl_jax.protocols.table import regions_stored, table_spec
from fdbpl_jax.protocols.training_images import TrainedOn
from fdbpl_jax.ril.table import region_bytes


class DatasetPlan(NamedTuple):
    """What is to be done for one data set.

    cells, missing: planned, and of them not finished. images: that the table holds.
    regions: M, of each. table_bytes: before compression. seconds: of the test features,
    the table and the missing cells; the first two as if they were not there.
    """

    name: str
    classes: int
    cells: int
    missing: int
    images: int
    regions: int
    table_bytes: int
    seconds: tuple[float, float, float]


def plan(config: RunConfig, workdir: Path) -> list[DatasetPlan]:
    """Opens the data sets, measures the machine on each, and adds up.

    Args:
      config: the checked settings.
      workdir: where finished cells are looked for; embedded data sets are rendered
        there.

    Raises:
      UserError: what the run itself would raise.
    """
    pair = load_pair(config)
    sources = [dataset_of(config, name, workdir) for name in config.data.datasets]
    targets = [dataset_of(config, name, workdir) for name in config.data.targets]
    return [_plan_one(config, one, targets, pair, workdir) for one in sources]


def _plan_one(
    config: RunConfig,
    dataset: Dataset,
    targets: Sequence[Dataset],
    pair: tuple[Clip, Clip],
    workdir: Path,
) -> DatasetPlan:
    trained_on = draw(config, dataset, pair[0], workdir / "features")
    jobs = jobs_of(config, dataset.name, trained_on, workdir)
    missing = [job for job in jobs if not is_finished(job)]
    images, regions, size = _table_images(trained_on), regions_stored(config), 0
    if images:
        base = next(iter(trained_on.values()))
        spec = table_spec(config, base, base.train[:1], *pair)
        size = images * regions * region_bytes(spec)
    seconds = (0.0, 0.0, 0.0)
    if missing:
        rates = probe(config, dataset, *pair)
        tests = sum(len(getattr(one, config.eval_split)) for one in (dataset, *targets))
        training = _training(config, rates, missing)
        seconds = tests * rates.image, images * regions * rates.region, training
    classes = len(dataset.class_names)
    return DatasetPlan(
        dataset.name, classes, len(jobs), len(missing), images, regions, size, seconds
    )


def plan_text(config: RunConfig, plans: Sequence[DatasetPlan]) -> str:
    """The plan as lines to print."""
    lines = [f"{config.protocol}: {', '.join(config.methods)}; seeds {config.seeds}"]
    for one in plans:
        lines.append(f"{one.name}: {one.classes} classes")
        lines.append(f"  cells     {one.cells}, to be run: {one.missing}")
        if one.images:
            lines.append(
                f"  table     {one.images} images x {one.regions} regions, at most "
                f"{one.table_bytes / 1e6:,.1f} MB"
            )
        features, table, training = (time_text(part) for part in one.seconds)
        lines.append(
            f"  time      test features {features}, table {table}, training {training}"
        )
    total = sum(sum(one.seconds) for one in plans)
    lines.append(f"about {time_text(total)} in all; less where parts are there already")
    return "\n".join(lines)


def time_text(seconds: float) -> str:
    """`8 s`, `12 min`, `3.5 h`: as exact as an estimate deserves."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _table_images(trained_on: TrainedOn) -> int:
    return len(
        {
            example.path
            for (method, *_), dataset in trained_on.items()
            if METHODS[method].reads_table
            for example in dataset.train
        }
    )


def _training(config: RunConfig, rates: Rates, missing: Sequence[Job]) -> float:
    updates = sum(
        steps_of(config, job.method, len(job.dataset.train)) * rates.step[job.method]
        for job in missing
    )
    # A program is compiled for a method and a number of steps an epoch.
    programs = {(job.method, len(job.dataset.train)) for job in missing}
    return updates + sum(rates.compile[method] for method, _ in programs)

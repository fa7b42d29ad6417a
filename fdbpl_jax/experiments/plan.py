"""What a run would do, and about how long: the cells, the tables, the time."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax.clip.model import Clip
from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.evaluation.features import are_kept
from fdbpl_jax.experiments.assemble import Job
from fdbpl_jax.experiments.cell import is_finished
from fdbpl_jax.experiments.probe import Rates, probe, steps_of
from fdbpl_jax.experiments.ril_table import (
    regions_stored,
    table_part,
    table_path,
    table_spec,
)
from fdbpl_jax.experiments.run import jobs_of
from fdbpl_jax.experiments.shared_inputs import dataset_of, draw, load_pair
from fdbpl_jax.experiments.test_sets import tested
from fdbpl_jax.experiments.training_sets import TrainedOn
from fdbpl_jax.ril.ledger import is_there
from fdbpl_jax.ril.table import region_bytes

_THERE = "there already"


class TablePlan(NamedTuple):
    """What the table of a data set holds: regions of each of so many images.

    size: in bytes, before compression. there: whole, so that it need only be opened.
    """

    images: int
    regions: int
    size: int
    there: bool


class DatasetPlan(NamedTuple):
    """What is to be done for one data set.

    cells, missing: planned, and of them not finished. files, absent: of test features,
    and of them not there. table: None where no method reads one. seconds: of the test
    features, the table and the cells that are not there.
    """

    name: str
    classes: int
    cells: int
    missing: int
    files: int
    absent: int
    table: TablePlan | None
    seconds: tuple[float, float, float]


def plan(config: RunConfig, workdir: Path) -> list[DatasetPlan]:
    """Opens the data sets, measures the machine on each, and adds up.

    Args:
      config: the checked settings.
      workdir: where finished cells, tables and test features are looked for; embedded
        data sets are rendered there.

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
    cache = workdir / "features"
    trained_on = draw(config, dataset, pair[0], cache)
    jobs = jobs_of(config, dataset.name, trained_on, workdir)
    missing = [job for job in jobs if not is_finished(job)]
    files = _feature_files(config, dataset, targets, pair, cache)
    absent = [images for images, kept in files if not kept]
    table = _table(config, trained_on, pair, workdir)
    regions = table.images * table.regions if table and not table.there else 0
    seconds = (0.0, 0.0, 0.0)
    if missing or absent or regions:
        rates = probe(config, dataset, *pair)
        # The rate of images is of both towers.
        features = sum(absent) * rates.image / len(pair)
        training = _training(config, rates, missing)
        seconds = features, regions * rates.region, training
    return DatasetPlan(
        name=dataset.name,
        classes=len(dataset.class_names),
        cells=len(jobs),
        missing=len(missing),
        files=len(files),
        absent=len(absent),
        table=table,
        seconds=seconds,
    )


def _feature_files(
    config: RunConfig,
    dataset: Dataset,
    targets: Sequence[Dataset],
    pair: tuple[Clip, Clip],
    cache: Path,
) -> list[tuple[int, bool]]:
    """Of each file of test features, how many images it is of and whether it is there.

    There is one for each tower and part that is tested on.
    """
    found = []
    for part in tested(config, dataset, targets):
        examples = getattr(part, config.eval_split)
        for clip in pair:
            found.append((len(examples), are_kept(clip, part, examples, cache)))
    return found


def _table(
    config: RunConfig, trained_on: TrainedOn, pair: tuple[Clip, Clip], workdir: Path
) -> TablePlan | None:
    part, regions = table_part(trained_on), regions_stored(config)
    if part is None:
        return None
    images = len(part.train)
    one = dataclasses.replace(part, train=part.train[:1])
    size = images * regions * region_bytes(table_spec(config, one, *pair))
    # All images are read to know the table's name: not where none can be.
    if not config.ril.path and not any((workdir / "ril").glob(f"{part.name}-*")):
        return TablePlan(images, regions, size, there=False)
    spec = table_spec(config, part, *pair)
    there = is_there(table_path(config, spec, workdir), spec)
    return TablePlan(images, regions, size, there)


def plan_text(config: RunConfig, plans: Sequence[DatasetPlan]) -> str:
    """The plan as lines to print."""
    lines = [f"{config.protocol}: {', '.join(config.methods)}; seeds {config.seeds}"]
    for one in plans:
        lines.append(f"{one.name}: {one.classes} classes")
        lines.append(f"  cells     {one.cells}, to be run: {one.missing}")
        lines.append(f"  features  {one.files} files, to be made: {one.absent}")
        if one.table:
            lines.append(
                f"  table     {one.table.images} images x {one.table.regions} regions, "
                f"at most {one.table.size / 1e6:,.1f} MB"
            )
        lines.append(f"  time      {_times(one)}")
    total = sum(sum(one.seconds) for one in plans)
    lines.append(f"about {time_text(total)} in all; less where a part was begun")
    return "\n".join(lines)


def _times(one: DatasetPlan) -> str:
    features, table, training = (time_text(part) for part in one.seconds)
    parts = [f"test features {features if one.absent else _THERE}"]
    if one.table:
        parts.append(f"table {_THERE if one.table.there else table}")
    return ", ".join([*parts, f"training {training}"])


def time_text(seconds: float) -> str:
    """`8 s`, `12 min`, `3.5 h`: as exact as an estimate deserves."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _training(config: RunConfig, rates: Rates, missing: Sequence[Job]) -> float:
    updates = math.fsum(
        steps_of(config, job.method, len(job.dataset.train)) * rates.step[job.method]
        for job in missing
    )
    # A program is compiled for a method and a number of steps an epoch.
    programs = {(job.method, len(job.dataset.train)) for job in missing}
    return updates + sum(rates.compile[method] for method, _ in programs)

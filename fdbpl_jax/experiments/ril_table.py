"""The RIL table that a data set's cells share: what they need of it, built or found."""

import dataclasses
from pathlib import Path

from absl import logging

from fdbpl_jax.clip.model import Clip
from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.experiments.training_sets import TrainedOn
from fdbpl_jax.methods.method import METHODS
from fdbpl_jax.reports.facts import TableFacts
from fdbpl_jax.ril.build import BuildReport, ensure_table, plan_spec
from fdbpl_jax.ril.inspect.measure import disk_bytes, read_seconds
from fdbpl_jax.ril.reader import EpochPlan, regions_read
from fdbpl_jax.ril.spec import TableSpec
from fdbpl_jax.ril.table import Table


def training_table(
    config: RunConfig,
    trained_on: TrainedOn,
    student: Clip,
    teacher: Clip,
    workdir: Path,
) -> tuple[Table | None, TableFacts | None]:
    """The one table of a data set's training images, for all seeds and methods.

    Args:
      config: of the run.
      trained_on: what each method is trained on.
      student, teacher: of the features and of the labels.
      workdir: where it is, if the config names no path.

    Returns:
      The open table and what it took, or None where no method reads one.

    Raises:
      UserError: a table that does not fit, or one that cannot be built.
    """
    part = table_part(trained_on)
    if part is None:
        return None, None
    spec = table_spec(config, part, student, teacher)
    for method in filter(_reads, config.methods):
        read = regions_read(_plan(config, method), spec.regions)
        logging.info(
            "%s %s: the epoch plan reads %d of %d regions of each image",
            *(part.name, method, read, spec.regions),
        )
    path = table_path(config, spec, workdir)
    table, built = ensure_table(path, spec, part.root, teacher, student)
    return table, _facts(table, built)


def _facts(table: Table, built: BuildReport | None) -> TableFacts:
    return TableFacts(
        regions=table.spec.regions * len(table.spec.images),
        keep=table.spec.keep,
        built=built is not None,
        seconds=built.seconds if built else 0.0,
        disk_bytes=sum(disk_bytes(table).values()),
        read_seconds=read_seconds(table),
    )


def regions_stored(config: RunConfig) -> int:
    """M: as asked for; else what the epochs of the methods that read it read."""
    plans = [_plan(config, method) for method in filter(_reads, config.methods)]
    most = max((plan.epochs * plan.regions_per_epoch for plan in plans), default=0)
    return config.ril.regions or most


def table_part(trained_on: TrainedOn) -> Dataset | None:
    """Classes and all training images of the methods that read a table, if any does."""
    parts = [one for (method, *_), one in trained_on.items() if _reads(method)]
    if not parts:
        return None
    # By path: UPL may take an image for another class than the data set does.
    drawn = {example.path: example for one in parts for example in one.train}
    train = sorted(drawn.values(), key=lambda example: (example.label, example.path))
    return dataclasses.replace(parts[0], train=tuple(train))


def table_spec(
    config: RunConfig, part: Dataset, student: Clip, teacher: Clip
) -> TableSpec:
    """What the table of a `table_part` is made from; see `plan_spec`."""
    regions = regions_stored(config)
    return plan_spec(part, part.train, teacher, student, config.ril, regions)


def table_path(config: RunConfig, spec: TableSpec, workdir: Path) -> str | Path:
    """Where the table is, or will be: as asked for, or by its fingerprint."""
    own = workdir / "ril" / f"{spec.dataset}-{spec.fingerprint()[:12]}"
    return config.ril.path or own


def _plan(config: RunConfig, method: str) -> EpochPlan:
    optim = config.optim_of(method)
    return EpochPlan(
        epochs=optim.epochs,
        regions_per_epoch=config.ril.regions_per_epoch,
        batch_size=optim.batch_size,
        access=config.ril.access,
        seed=0,
    )


def _reads(method: str) -> bool:
    return METHODS[method].reads_table

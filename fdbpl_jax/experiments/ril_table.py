"""The RIL table that the cells of a data set share: what they need of it, and it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.experiments.cells import Cell
from fdbpl_jax.learners.learner import Models
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.reports.facts import TableFacts
from fdbpl_jax.ril.build import ensure_table, plan_spec
from fdbpl_jax.ril.inspect.measure import folder_bytes, read_seconds
from fdbpl_jax.ril.reader import EpochPlan, regions_read
from fdbpl_jax.ril.spec import TableSpec
from fdbpl_jax.ril.table import Table
from fdbpl_jax.training.sources import epoch_plan


def training_table(
    config: RunConfig,
    images: Dataset | None,
    models: Models,
    workdir: Path,
    source: SourceImages,
) -> tuple[Table | None, TableFacts | None]:
    """Open or build the one table of `table_images`: of all cells of a data set.

    It is in the workdir if the config names no path. None: no method reads one.

    Raises:
      UserError: a table that does not fit, or one that cannot be built.
    """
    if images is None:
        return None, None
    spec = table_spec(config, images, models, source)
    for name, plan in _plans(config).items():
        read = regions_read(plan, spec.regions)
        logging.info(
            "%s %s: the epoch plan reads %d of %d regions of each image",
            *(images.name, name, read, spec.regions),
        )
    path = table_path(config, spec, workdir)
    student, teacher = models
    table, built = ensure_table(
        path, spec, images.root, teacher, student, images=source
    )
    return table, TableFacts(
        regions=table.spec.regions * len(table.spec.images),
        keep=table.spec.keep,
        built=built is not None,
        seconds=table.seconds,
        disk_bytes=folder_bytes(table),
        read_seconds=read_seconds(table),
    )


def table_images(cells: Sequence[Cell]) -> Dataset | None:
    """Classes and all training images of the cells that read a table, if any does."""
    parts = [cell.dataset for cell in cells if cell.method.reads_table]
    if not parts:
        return None
    # By path: UPL may take an image for another class than the data set does.
    drawn = {example.path: example for part in parts for example in part.train}
    train = sorted(drawn.values(), key=lambda example: (example.label, example.path))
    return dataclasses.replace(parts[0], train=tuple(train))


def regions_stored(config: RunConfig) -> int:
    """M: the config's; where it has none, what the methods' epochs read."""
    plans = _plans(config).values()
    most = max((plan.epochs * plan.regions_per_epoch for plan in plans), default=0)
    return config.ril.regions or most


def table_spec(
    config: RunConfig, images: Dataset, models: Models, source: SourceImages
) -> TableSpec:
    """What the table of `table_images` is made from; see `plan_spec`."""
    student, teacher = models
    regions = regions_stored(config)
    return plan_spec(images, teacher, student, config.ril, regions, images=source)


def table_path(config: RunConfig, spec: TableSpec, workdir: Path) -> str | Path:
    """Where the table is, or will be: the config's path, or by its fingerprint."""
    default = workdir / "ril" / f"{spec.dataset}-{spec.fingerprint()[:12]}"
    return config.ril.path or default


def _plans(config: RunConfig) -> dict[str, EpochPlan]:
    """What the epochs of each method that reads a table read of it."""
    return {
        name: epoch_plan(config.optim_of(name), config.ril, seed=0)
        for name in config.methods
        if METHODS[name].reads_table
    }

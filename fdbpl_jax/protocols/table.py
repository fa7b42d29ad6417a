"""The RIL table that a data set's cells share: what they need of it, built or found."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from fdbpl_jax.clip.model import Clip
from fdbpl_jax.config import RilConfig, RunConfig
from fdbpl_jax.data.types import Dataset, Example
from fdbpl_jax.methods.method import METHODS
from fdbpl_jax.protocols.training_images import TrainedOn
from fdbpl_jax.report_facts import TableFacts
from fdbpl_jax.ril.build import BuildReport, ensure_table, plan_spec
from fdbpl_jax.ril.labels import check_keep
from fdbpl_jax.ril.measure import disk_bytes, read_seconds
from fdbpl_jax.ril.reader import EpochPlan, regions_read
from fdbpl_jax.ril.spec import TableSpec
from fdbpl_jax.ril.table import Table

_PAPER_KEEP = 20  # K


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
    readers = [m for m in config.methods if METHODS[m].reads_table]
    if not readers:
        return None, None
    parts = [part for (method, *_), part in trained_on.items() if method in readers]
    dataset = parts[0]
    # By path: UPL may take an image for another class than the data set does.
    drawn = {example.path: example for one in parts for example in one.train}
    examples = sorted(drawn.values(), key=lambda example: (example.label, example.path))
    plans = {method: _plan(config, method) for method in readers}
    regions = regions_stored(config)
    spec = table_spec(config, dataset, examples, student, teacher)
    path = workdir / "ril" / f"{dataset.name}-{spec.fingerprint()[:12]}"
    if config.ril.path:
        path = Path(config.ril.path)
    for method, plan in plans.items():
        read = regions_read(plan, regions)
        logging.info(
            "%s %s: the epoch plan reads %d of %d regions of each image",
            *(dataset.name, method, read, regions),
        )
    table, built = ensure_table(path, spec, dataset.root, teacher, student)
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
    plans = [_plan(config, m) for m in config.methods if METHODS[m].reads_table]
    most = max((plan.epochs * plan.regions_per_epoch for plan in plans), default=0)
    return config.ril.regions or most


def table_spec(
    config: RunConfig,
    dataset: Dataset,
    examples: Sequence[Example],
    student: Clip,
    teacher: Clip,
) -> TableSpec:
    """What the table of these images is made from; see `plan_spec`."""
    keep = _keep(config.ril, len(dataset.class_names))
    ril = dataclasses.replace(config.ril, keep=keep)
    return plan_spec(dataset, examples, teacher, student, ril, regions_stored(config))


def _keep(ril: RilConfig, classes: int) -> int:
    """K: as asked for; else the paper's, or all classes where that is fewer."""
    keep = ril.keep or (classes if ril.label == "full" else min(_PAPER_KEEP, classes))
    check_keep(keep, classes)
    return keep


def _plan(config: RunConfig, method: str) -> EpochPlan:
    optim = config.optim_of(method)
    return EpochPlan(
        epochs=optim.epochs,
        regions_per_epoch=config.ril.regions_per_epoch,
        batch_size=optim.batch_size,
        access=config.ril.access,
        seed=0,
    )

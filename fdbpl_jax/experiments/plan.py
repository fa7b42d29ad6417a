"""The plan of a run: its cells, tables and about how long it takes."""

import dataclasses
import glob
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.types import Dataset, Example
from fdbpl_jax.evaluation.features import are_kept
from fdbpl_jax.experiments.cells import Cell, RunInputs, load_inputs, plan_cells
from fdbpl_jax.experiments.probe import Rates, probe, steps_of
from fdbpl_jax.experiments.ril_table import (
    regions_stored,
    table_images,
    table_path,
    table_spec,
)
from fdbpl_jax.experiments.run import open_datasets
from fdbpl_jax.experiments.shared_inputs import evaluated_parts, training_part
from fdbpl_jax.experiments.training_sets import source_images
from fdbpl_jax.learners.learner import Models
from fdbpl_jax.ril.inspect.measure import folder_bytes, packed_bytes
from fdbpl_jax.ril.ledger import is_there
from fdbpl_jax.ril.table import open_unchecked, region_bytes

_THERE = "there already"


class TablePlan(NamedTuple):
    """The RIL table of a data set."""

    images: int
    regions: int  # of each image
    size: float  # of its files, in bytes: as measured on a small one if not `there`
    there: bool  # whole: it need only be opened


class DatasetPlan(NamedTuple):
    """What is to be done for one data set."""

    name: str
    classes: int
    cells: int
    missing: int  # of the cells: not finished
    files: int  # of features
    absent: int  # of the files: not there
    table: TablePlan | None  # None: no method reads one
    # Of the test features, the table and the cells that are not there.
    seconds: tuple[float, float, float]


def plan(config: RunConfig, workdir: Path) -> list[DatasetPlan]:
    """Open the data sets, measure the machine on each, and add up.

    Finished cells, tables and test features are looked for in the workdir; embedded
    data sets are rendered there.

    Raises:
      UserError: what the run itself would raise.
    """
    inputs = load_inputs(config)
    sources, targets = open_datasets(config, inputs, workdir)
    return [_plan_one(config, data, targets, inputs, workdir) for data in sources]


def _plan_one(
    config: RunConfig,
    dataset: Dataset,
    targets: Sequence[Dataset],
    inputs: RunInputs,
    workdir: Path,
) -> DatasetPlan:
    models = inputs.models
    cells = plan_cells(config, dataset, inputs, workdir)
    missing = [cell for cell in cells if not cell.is_finished]
    examples = [
        (part.root, getattr(part, config.eval_split))
        for part in evaluated_parts(config, dataset, targets)
    ]
    if any(cell.method.has_teacher for cell in cells):
        examples.append((dataset.root, training_part(config, dataset, cells).train))
    files = _feature_files(examples, models, workdir)
    absent = [images for images, kept in files if not kept]
    table = _table(config, cells, models, workdir)
    regions = table.images * table.regions if table and not table.there else 0
    seconds = (0.0, 0.0, 0.0)
    if missing or absent or regions:
        rates = probe(config, dataset, inputs)
        # The rate of images is of both towers.
        features = sum(absent) * rates.image / len(models)
        training = _training(config, rates, missing)
        if table and not table.there and rates.packing:
            size = packed_bytes(rates.packing, table.images, table.regions)
            table = table._replace(size=size)
        seconds = features, regions * rates.region, training
    return DatasetPlan(
        name=dataset.name,
        classes=len(dataset.class_names),
        cells=len(cells),
        missing=len(missing),
        files=len(files),
        absent=len(absent),
        table=table,
        seconds=seconds,
    )


def _feature_files(
    parts: Sequence[tuple[Path, Sequence[Example]]], models: Models, workdir: Path
) -> list[tuple[int, bool]]:
    """Of each file of features, how many images it is of and whether it is there.

    There is one for each tower and part: those tested on, and what is trained on.
    """
    files = []
    for root, examples in parts:
        images = source_images(root, workdir)
        for clip in models:
            kept = are_kept(clip, images, examples, workdir / "features")
            files.append((len(examples), kept))
    return files


def _table(
    config: RunConfig, cells: Sequence[Cell], models: Models, workdir: Path
) -> TablePlan | None:
    data, regions = table_images(cells), regions_stored(config)
    if data is None:
        return None
    images = len(data.train)
    source = source_images(data.root, workdir)
    first = dataclasses.replace(data, train=data.train[:1])
    size = images * regions * region_bytes(table_spec(config, first, models, source))
    # All images are read to know the table's name: not where none can be.
    tables = (workdir / "ril").glob(f"{glob.escape(data.name)}-*")
    if not config.ril.path and not any(tables):
        return TablePlan(images, regions, size, there=False)
    spec = table_spec(config, data, models, source)
    path = table_path(config, spec, workdir)
    if is_there(path, spec):
        size = folder_bytes(open_unchecked(path, "")) or size
        return TablePlan(images, regions, size, there=True)
    return TablePlan(images, regions, size, there=False)


def plan_text(config: RunConfig, plans: Sequence[DatasetPlan]) -> str:
    """The plan as text."""
    lines = [f"{config.protocol}: {', '.join(config.methods)}; seeds {config.seeds}"]
    for part in plans:
        lines.append(f"{part.name}: {part.classes} classes")
        lines.append(f"  cells     {part.cells}, to be run: {part.missing}")
        lines.append(f"  features  {part.files} files, to be made: {part.absent}")
        if part.table:
            about = "" if part.table.there else "about "
            lines.append(
                f"  table     {part.table.images} images x {part.table.regions} "
                f"regions, {about}{part.table.size / 1e6:,.1f} MB"
            )
        lines.append(f"  time      {_times(part)}")
    total = sum(sum(part.seconds) for part in plans)
    lines.append(f"about {time_text(total)} in all; less where a part was begun")
    return "\n".join(lines)


def _times(part: DatasetPlan) -> str:
    features, table, training = (time_text(seconds) for seconds in part.seconds)
    parts = [f"test features {features if part.absent else _THERE}"]
    if part.table:
        parts.append(f"table {_THERE if part.table.there else table}")
    return ", ".join([*parts, f"training {training}"])


def time_text(seconds: float) -> str:
    """`8 s`, `12 min`, `3.5 h`: as exact as an estimate deserves."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _training(config: RunConfig, rates: Rates, missing: Sequence[Cell]) -> float:
    updates = math.fsum(
        steps_of(config, cell) * rates.step[cell.method.name] for cell in missing
    )
    # A program is compiled for a method and a number of steps per epoch.
    programs = {(cell.method.name, len(cell.dataset.train)) for cell in missing}
    return updates + sum(rates.compile[method] for method, _ in programs)

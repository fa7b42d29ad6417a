"""Base-to-new: train on half of the classes, test on both halves (CoCoOp's protocol).

For each data set: test features → RIL table → cells; then one report.
"""

import dataclasses
import itertools
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from fdbpl_jax import device, report, results
from fdbpl_jax.clip.model import Clip, cast, load_clip
from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.datasets import load_dataset
from fdbpl_jax.data.images import check_images
from fdbpl_jax.data.splits import subset
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.errors import UserError, unknown_name
from fdbpl_jax.features import split_features
from fdbpl_jax.methods.method import METHODS
from fdbpl_jax.protocols.assemble import Half, Job, Stage
from fdbpl_jax.protocols.cell import RESULT, run_cells, zero_shot
from fdbpl_jax.protocols.table import TableCost, training_table
from fdbpl_jax.protocols.training_images import training_data
from fdbpl_jax.results import CellResult
from fdbpl_jax.shapes.dataset import load_shapes
from fdbpl_jax.shapes.pair import embedded
from fdbpl_jax.shapes.world import TASKS
from fdbpl_jax.sweep import settings_of

STUDENT_TEMPLATE = "a photo of a {}."  # what the prompts start from


class Prepared(NamedTuple):
    """A data set with all that its cells share.

    Attributes:
      dataset: all classes.
      trained_on: by method and seed, the classes and images that are trained on.
      stage: towers, test features, table.
      untrained: the zero-shot cells.
      table_cost: of the table, None where no method reads one.
      feature_seconds: that the test features of both towers took.
    """

    dataset: Dataset
    trained_on: dict[tuple[str, int], Dataset]
    stage: Stage
    untrained: list[CellResult]
    table_cost: TableCost | None
    feature_seconds: float


def run(
    config: RunConfig, workdir: Path, command: str, only: Sequence[str] = ()
) -> Sequence[results.Row]:
    """Runs every cell of the plan that is not finished, and writes the report.

    Args:
      config: the checked settings.
      workdir: gets `base2new/<dataset>/<method>/seed<k>/`, `base2new/report.*`, and
        what runs share: tables in `ril/`, test features in `features/`.
      command: how the program was called, for the report.
      only: methods to train; of the others only what is finished is reported. Empty:
        all of them.

    Returns:
      The rows of the report.

    Raises:
      UserError: bad input of any kind; finished cells and tables are kept.
    """
    for method in only:
        if method not in config.methods:
            raise unknown_name("method in --only:", method, config.methods)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    student, teacher = load_pair(config)
    # Every data set is looked at before any of them costs compute.
    datasets = [open_dataset(config, name, workdir) for name in config.data.datasets]
    cells, found = [], []
    for dataset in datasets:
        found.append(prepare(config, dataset, student, teacher, workdir))
        cells += [*found[-1].untrained, *_run_cells(config, found[-1], workdir, only)]
    names = [job.name for job in _jobs(config, found[0], workdir)]
    planned = itertools.product(config.data.datasets, names, config.seeds)
    keys = dict.fromkeys([*(cell.key for cell in cells), *planned])
    rows = results.summarise(cells, keys)
    facts = report.RunFacts(
        protocol="base2new",
        command=command,
        device=device.describe(),
        versions=device.versions(),
        table_seconds={
            prepared.dataset.name: tuple(prepared.table_cost)
            for prepared in found
            if prepared.table_cost
        },
        student=f"{student.name} {student.fingerprint[:12]}",
        teacher=f"{teacher.name} {teacher.fingerprint[:12]}",
        config=_settings(config),
        started=started,
        notes=_notes(config, found),
    )
    report.write_report(workdir / "base2new", rows, cells, facts)
    print(report.terminal_table(rows), flush=True)
    logging.info("report: %s", workdir / "base2new" / "report.html")
    return rows


def load_pair(config: RunConfig) -> tuple[Clip, Clip]:
    """Student and teacher, or the embedded ones, in the dtype they are to run in."""
    dtype = device.tower_dtype(config.dtype)
    sources = {"student": config.student, "teacher": config.teacher}
    student, teacher = (
        cast(load_clip(source or str(embedded(name))), dtype)
        for name, source in sources.items()
    )
    return student, teacher


def open_dataset(config: RunConfig, name: str, workdir: Path) -> Dataset:
    """The whole data set: an embedded one, rendered if need be, or one on disk."""
    if name in TASKS:
        return load_shapes(name, workdir / "shapes")
    if not config.data.root:
        raise UserError(
            f"data set '{name}' needs a data root, and config data.root is empty",
            "Set --config.data.root to the folder that holds the data sets; the "
            f"embedded ones ({', '.join(TASKS)}) need none.",
        )
    return load_dataset(name, Path(config.data.root))


def prepare(
    config: RunConfig, dataset: Dataset, student: Clip, teacher: Clip, workdir: Path
) -> Prepared:
    """Draws the shots, encodes the test images, and builds or opens the table."""
    start = time.perf_counter()
    seen = {
        (tower, which): _half(config, clip, dataset, which, workdir / "features")
        for tower, clip in (("student", student), ("teacher", teacher))
        for which in ("base", "new")
    }
    feature_seconds = time.perf_counter() - start
    base, new = seen["student", "base"], seen["student", "new"]
    teacher_halves = seen["teacher", "base"], seen["teacher", "new"]
    own = dataset.template
    untrained = [
        zero_shot("zero-shot", student, STUDENT_TEMPLATE, dataset.name, base, new),
        zero_shot("zero-shot, own template", student, own, dataset.name, base, new),
        zero_shot("teacher", teacher, own, dataset.name, *teacher_halves),
    ]
    trained_on = {
        (method, seed): training_data(
            METHODS[method],
            dataset,
            config.data.shots,
            seed,
            student,
            workdir / "features",
        )
        for method in config.methods
        for seed in config.seeds
    }
    used = {example.path for one in trained_on.values() for example in one.train}
    check_images(dataset.root, sorted(used))
    table, cost = training_table(config, trained_on, student, teacher, workdir)
    stage = Stage(student, teacher, base, new, table)
    return Prepared(dataset, trained_on, stage, untrained, cost, feature_seconds)


def _run_cells(
    config: RunConfig, prepared: Prepared, workdir: Path, only: Sequence[str]
) -> list[CellResult]:
    cells, jobs = [], _jobs(config, prepared, workdir)
    for method in config.methods:
        own = [
            job
            for job in jobs
            if job.method == method
            and (not only or method in only or (job.directory / RESULT).exists())
        ]
        # A few at a time, so that what is done is also logged.
        for first in range(0, len(own), config.sweep.at_once):
            some = own[first : first + config.sweep.at_once]
            cells += run_cells(config, prepared.stage, some)
            for cell in cells[-len(some) :]:
                _log_cell(cell)
    return cells


def _jobs(config: RunConfig, prepared: Prepared, workdir: Path) -> list[Job]:
    """The cells of a data set, in the order of the report."""
    folder = workdir / "base2new" / prepared.dataset.name
    return [
        Job(
            method,
            setting,
            seed,
            prepared.trained_on[method, seed],
            folder / name / f"seed{seed}",
        )
        for method in config.methods
        for setting in settings_of(config, method)
        for name in [",".join([method, *setting.name.split()])]
        for seed in config.seeds
    ]


def _log_cell(cell: CellResult) -> None:
    new = "–" if cell.new is None else f"{cell.new:.1f}"
    name = f"{cell.dataset} {cell.method} seed {cell.seed}"
    spent = f"trained in {cell.train_seconds:.1f} s"
    logging.info("%s: base %.1f, new %s, %s", name, cell.base, new, spent)


def _half(
    config: RunConfig, clip: Clip, dataset: Dataset, which: str, cache: Path
) -> Half:
    half = subset(dataset, which)
    examples = getattr(half, config.eval_split)
    if not examples:
        raise UserError(
            f"data set '{dataset.name}' has no {config.eval_split} image of its "
            f"{which} classes",
            "Set --config.eval_split to a split that has some.",
        )
    features = split_features(clip, half, examples, cache)
    labels = np.array([example.label for example in examples], np.int32)
    return Half(half, examples, features, labels)


def _settings(config: RunConfig) -> tuple[tuple[str, str], ...]:
    """The settings as lines of the report."""
    fields = dataclasses.asdict(config)
    lines = [
        (f"{kind} of {name}", str(values))
        for kind in ("optim", "prompt")
        for name, values in fields.pop(kind)
    ]
    return (*((name, str(value)) for name, value in fields.items()), *lines)


def _notes(config: RunConfig, found: Sequence[Prepared]) -> tuple[str, ...]:
    spent = ", ".join(
        f"{one.dataset.name} {one.feature_seconds:.1f} s" for one in found
    )
    return (
        f"Accuracy is on the {config.eval_split} images, each half of the classes by "
        "itself.",
        f"'zero-shot' is the student asked with '{STUDENT_TEMPLATE}'; the next row "
        "asks it, and 'teacher' asks the teacher, with the data set's own template.",
        f"Features of the {config.eval_split} images, once for all methods: {spent}.",
        "Training time is the wall time of the training loop with compilation, "
        "reading and checkpoints; tables and features of test images are apart.",
        "Peak memory is of the whole process so far (accelerator: of the device).",
    )

"""A protocol from its settings to its report, cell by cell.

For each data set: test features → RIL table → cells; then one report. A cell that fails
does not stop the others.
"""

import contextlib
import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import jax
from absl import logging

from fdbpl_jax import device, report, results
from fdbpl_jax.clip.model import Clip
from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.types import first_few
from fdbpl_jax.errors import UserError, unknown_name
from fdbpl_jax.protocols.assemble import Job
from fdbpl_jax.protocols.cell import claim_cells, is_finished, run_cells
from fdbpl_jax.protocols.prepare import (
    STUDENT_TEMPLATE,
    Prepared,
    load_pair,
    open_dataset,
    prepare,
)
from fdbpl_jax.protocols.protocol import PROTOCOLS
from fdbpl_jax.protocols.rejection import read_rejection
from fdbpl_jax.protocols.training_images import TrainedOn
from fdbpl_jax.report_text import rejection_texts
from fdbpl_jax.results import CellKey, CellResult, Rejection
from fdbpl_jax.shapes.pair import embedded
from fdbpl_jax.sweep import settings_of

# What the world does to a cell; anything else is a mistake of ours and stops the run.
_FAILURES = (UserError, OSError, MemoryError, jax.errors.JaxRuntimeError)


class Failure(NamedTuple):
    """A cell, or all cells of a data set, that could not be run, and why."""

    what: str
    error: Exception

    def __str__(self) -> str:
        """One line."""
        return f"{self.what}: {' '.join(str(self.error).split())}"


@dataclasses.dataclass
class _Found:
    """What a run has come to so far."""

    prepared: list[Prepared] = dataclasses.field(default_factory=list)
    cells: list[CellResult] = dataclasses.field(default_factory=list)
    failures: list[Failure] = dataclasses.field(default_factory=list)
    rejection: list[Rejection] = dataclasses.field(default_factory=list)

    def fails(self, what: str, error: Exception) -> None:
        """Notes a failure; the run goes on."""
        self.failures.append(Failure(what, error))
        logging.error("failed: %s", self.failures[-1])


def run(
    config: RunConfig,
    workdir: Path,
    command: str,
    only: Sequence[str] = (),
    shard: tuple[int, int] = (0, 1),
) -> Sequence[results.Row]:
    """Runs every cell of the plan that is not finished, and writes the report.

    Args:
      config: the checked settings.
      workdir: gets `<name>/<dataset>/<method>/seed<k>/`, `<name>/report.*`, and
        what runs share: tables in `ril/`, test features in `features/`.
      command: how the program was called, for the report.
      only: methods to train; of the others only what is finished is reported. Empty:
        all of them.
      shard: (index, count): train every count-th cell only, when several processes
        share the plan.

    Returns:
      The rows of the report.

    Raises:
      UserError: bad input of any kind; finished cells and tables are kept. Cells that
        failed are named after the report is written.
    """
    for method in only:
        if method not in config.methods:
            raise unknown_name("method in --only:", method, config.methods)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    student, teacher = load_pair(config)
    # Every data set is looked at before any of them costs compute.
    sources = [open_dataset(config, name, workdir) for name in config.data.datasets]
    targets = [open_dataset(config, name, workdir) for name in config.data.targets]
    found = _Found()
    for dataset in sources:
        try:
            prepared = prepare(config, dataset, targets, student, teacher, workdir)
        except _FAILURES as error:
            found.fails(f"all cells of {dataset.name}", error)
            continue
        found.prepared.append(prepared)
        found.cells += prepared.untrained
        jobs = jobs_of(config, dataset.name, prepared.trained_on, workdir)
        share = {job.directory for job in jobs[shard[0] :: shard[1]]}
        mine = [
            job
            for job in jobs
            if is_finished(job)
            or (job.directory in share and (not only or job.method in only))
        ]
        claim_cells(config, prepared.stage, mine)
        for method in config.methods:
            _run_jobs(config, prepared, [j for j in mine if j.method == method], found)
        found.rejection += [
            one for job in mine if is_finished(job) for one in read_rejection(job)
        ]
    if not found.prepared:
        raise found.failures[0].error
    rows = _rows(config, found, workdir)
    facts = _facts(config, found, (student, teacher), command, started)
    directory = workdir / config.folder
    report.write_report(directory, rows, found.cells, facts)
    print(report.terminal_table(rows), flush=True)
    logging.info("report: %s", directory / "report.html")
    _refuse_failures(found.failures)
    return rows


def prepare_all(config: RunConfig, workdir: Path) -> None:
    """Makes what cells share, before several processes start on them.

    A data set that cannot be prepared is left to the run, which reports it.
    """
    student, teacher = load_pair(config)
    targets = [open_dataset(config, name, workdir) for name in config.data.targets]
    for name in config.data.datasets:
        dataset = open_dataset(config, name, workdir)
        with contextlib.suppress(*_FAILURES):
            prepare(config, dataset, targets, student, teacher, workdir)


def jobs_of(
    config: RunConfig, dataset: str, trained_on: TrainedOn, workdir: Path
) -> list[Job]:
    """The cells of a data set, in the order of the report."""
    folder = workdir / config.folder / dataset
    return [
        Job(
            method,
            setting,
            seed,
            trained_on[method, seed, setting.shots],
            folder / name / f"seed{seed}",
        )
        for method in config.methods
        for setting in settings_of(config, method)
        for name in [",".join([method, *setting.name.split()])]
        for seed in config.seeds
    ]


def _run_jobs(
    config: RunConfig, prepared: Prepared, jobs: Sequence[Job], found: _Found
) -> None:
    # A few at a time, so that what is done is also logged.
    for first in range(0, len(jobs), config.sweep.at_once):
        _attempt(config, prepared, jobs[first : first + config.sweep.at_once], found)


def _attempt(
    config: RunConfig, prepared: Prepared, jobs: Sequence[Job], found: _Found
) -> None:
    try:
        cells = run_cells(config, prepared.stage, jobs)
    except _FAILURES as error:
        if len(jobs) == 1:
            job = jobs[0]
            found.fails(f"{prepared.dataset.name} {job.name} seed {job.seed}", error)
            return
        # One of them spoiled it for all: each by itself, then.
        for job in jobs:
            _attempt(config, prepared, [job], found)
        return
    found.cells += cells
    for cell in cells:
        _log_cell(cell)


def _log_cell(cell: CellResult) -> None:
    new = "" if cell.new is None else f", new {cell.new:.1f}"
    name = f"{cell.dataset} {cell.method} seed {cell.seed}"
    spent = f"trained in {cell.train_seconds:.1f} s"
    logging.info("%s: %.1f%s, %s", name, cell.base, new, spent)


def _rows(config: RunConfig, found: _Found, workdir: Path) -> Sequence[results.Row]:
    """Of all planned cells; those of a data set that could not be prepared, too."""
    trained = {
        (job.name, job.seed): None
        for one in found.prepared
        for job in jobs_of(config, one.dataset.name, one.trained_on, workdir)
    }
    untrained = {(cell.method, None): None for cell in found.prepared[0].untrained}
    tested = [*config.data.datasets, *config.data.targets]
    plan: list[CellKey] = [
        (name, *key) for name in tested for key in (*untrained, *trained)
    ]
    return results.summarise(found.cells, plan, config.data.targets or tested)


def _facts(
    config: RunConfig,
    found: _Found,
    pair: tuple[Clip, Clip],
    command: str,
    started: str,
) -> report.RunFacts:
    student, teacher = pair
    return report.RunFacts(
        protocol=config.protocol,
        command=command,
        device=device.describe(),
        versions=device.versions(),
        table_seconds={
            prepared.dataset.name: tuple(prepared.table_cost)
            for prepared in found.prepared
            if prepared.table_cost
        },
        student=_model_text(student),
        teacher=_model_text(teacher),
        config=_settings(config),
        started=started,
        notes=_notes(config, found.prepared),
        failures=tuple(str(failure) for failure in found.failures),
        rejection=rejection_texts(found.rejection),
    )


def _model_text(clip: Clip) -> str:
    """Its name, or that it is an embedded one, and how it begins to be told apart."""
    name = clip.name
    for one in ("student", "teacher"):
        if name == str(embedded(one)):
            name = "embedded"
    return f"{name} {clip.fingerprint[:12]}"


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
    protocol = PROTOCOLS[config.protocol]
    how = "all classes of a data set together"
    if len(protocol.classes) > 1:
        how = "each half of the classes by itself"
    transfer = (
        f"Prompts are trained on {config.data.datasets[0]} alone; an average is over "
        "the other data sets.",
    )
    return (
        f"Accuracy is on the {config.eval_split} images, {how}.",
        *(transfer if protocol.transfers else ()),
        f"'zero-shot' is the student asked with '{STUDENT_TEMPLATE}'; the next row "
        "asks it, and 'teacher' asks the teacher, with the data set's own template.",
        f"Features of the {config.eval_split} images, once for all methods: {spent}.",
        "Training time is the wall time of the training loop with compilation, "
        "reading and checkpoints; tables and features of test images are apart.",
        "Peak memory is of the whole process so far (accelerator: of the device).",
    )


def _refuse_failures(failures: Sequence[Failure]) -> None:
    if failures:
        raise UserError(
            f"{len(failures)} could not be run: {first_few(failures)}",
            "What is finished is kept and in the report. Mend the cause and run the "
            "same command again: only what is missing is run.",
        )

"""A protocol from its settings to its report, cell by cell.

For each data set: test features → RIL table → cells; then one report. A cell that fails
does not stop the others.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import jax
from absl import logging

from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.types import first_few
from fdbpl_jax.errors import UserError, unknown_name
from fdbpl_jax.evaluation.rejection import read_rejection
from fdbpl_jax.experiments.assemble import Job
from fdbpl_jax.experiments.cell import claim_cells, is_finished, run_cells
from fdbpl_jax.experiments.compiling import compile_steps
from fdbpl_jax.experiments.shared_inputs import (
    Prepared,
    dataset_of,
    load_pair,
    prepare,
)
from fdbpl_jax.experiments.summary import Failure, Found, facts_of, rows_of
from fdbpl_jax.experiments.sweep import settings_of
from fdbpl_jax.experiments.training_sets import TrainedOn
from fdbpl_jax.reports import results
from fdbpl_jax.reports import write as report
from fdbpl_jax.reports.results import CellResult

# What the world does to a cell; anything else is a mistake of ours and stops the run.
_FAILURES = (UserError, OSError, MemoryError, jax.errors.JaxRuntimeError)


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
    sources = [dataset_of(config, name, workdir) for name in config.data.datasets]
    targets = [dataset_of(config, name, workdir) for name in config.data.targets]
    found = Found([*sources, *targets])
    for dataset in sources:
        try:
            prepared = prepare(config, dataset, targets, student, teacher, workdir)
        except _FAILURES as error:
            found.fails(f"all cells of {dataset.name}", error)
        else:
            _run_dataset(config, prepared, workdir, only, shard, found)
    if not found.prepared:
        raise found.failures[0].error
    rows = rows_of(config, found)
    facts = facts_of(config, found, (student, teacher), command, started)
    directory = workdir / config.folder
    report.write_report(directory, rows, found.cells, facts)
    print(report.terminal_table(rows), flush=True)
    logging.info("report: %s", directory / "report.html")
    refuse_failures(found.failures)
    return rows


def _run_dataset(
    config: RunConfig,
    prepared: Prepared,
    workdir: Path,
    only: Sequence[str],
    shard: tuple[int, int],
    found: Found,
) -> None:
    """Runs this process's share of the cells, and reads those that are finished."""
    jobs = jobs_of(config, prepared.dataset.name, prepared.trained_on, workdir)
    share = {job.directory for job in jobs[shard[0] :: shard[1]]}
    mine = [
        job
        for job in jobs
        if is_finished(job)
        or (job.directory in share and (not only or job.method in only))
    ]
    claim_cells(config, prepared.stage, mine)
    found.prepared.append(prepared)
    found.planned += [(job.name, job.seed) for job in jobs]
    found.cells += prepared.untrained
    for method in config.methods:
        _run_jobs(config, prepared, [j for j in mine if j.method == method], found)
    finished = [job for job in mine if is_finished(job)]
    found.rejection += [one for job in finished for one in read_rejection(job)]


def prepare_all(config: RunConfig, workdir: Path) -> Sequence[Failure]:
    """Makes what cells share, and compiles, before several processes start on them.

    Returns:
      The data sets that could not be prepared, and why.
    """
    found = Found()
    student, teacher = load_pair(config)
    targets = [dataset_of(config, name, workdir) for name in config.data.targets]
    for name in config.data.datasets:
        dataset = dataset_of(config, name, workdir)
        try:
            one = prepare(config, dataset, targets, student, teacher, workdir)
            jobs = jobs_of(config, name, one.trained_on, workdir)
            unfinished = [job for job in jobs if not is_finished(job)]
            compile_steps(config, one.stage, unfinished)
        except _FAILURES as error:
            found.fails(f"what cells of {name} share", error)
    return found.failures


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
    config: RunConfig, prepared: Prepared, jobs: Sequence[Job], found: Found
) -> None:
    # A few at a time, so that what is done is also logged.
    for first in range(0, len(jobs), config.sweep.at_once):
        _attempt(config, prepared, jobs[first : first + config.sweep.at_once], found)


def _attempt(
    config: RunConfig, prepared: Prepared, jobs: Sequence[Job], found: Found
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


def refuse_failures(failures: Sequence[Failure]) -> None:
    """Raises a `UserError` that names them, if there are any."""
    if failures:
        raise UserError(
            f"{len(failures)} could not be run: {first_few(failures)}",
            "What is finished is kept and in the report. Mend the cause and run the "
            "same command again: only what is missing is run.",
        )

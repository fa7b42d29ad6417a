"""A protocol from its settings to its report, cell by cell.

For each data set: what its cells share, then the cells; then one report. A cell that
fails does not stop the others.
"""

import contextlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from absl import logging

from fdbpl_jax.cli import show
from fdbpl_jax.clip.tokenizer import refuse_same_tokens
from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.open_dataset import has_template
from fdbpl_jax.data.types import Dataset, first_few
from fdbpl_jax.errors import OUTSIDE, UserError, unknown_name
from fdbpl_jax.experiments.assemble import compile_steps
from fdbpl_jax.experiments.cautions import before_training, training_text
from fdbpl_jax.experiments.cell import run_cells, untrained_results
from fdbpl_jax.experiments.cell_files import read_rejection
from fdbpl_jax.experiments.cells import Cell, RunInputs, load_inputs
from fdbpl_jax.experiments.identity import cell_settings, claim
from fdbpl_jax.experiments.processes import LOCK, Share, lock_of
from fdbpl_jax.experiments.shared_inputs import SharedInputs, dataset_of, prepare
from fdbpl_jax.experiments.summary import (
    DatasetResults,
    Failure,
    RunResults,
    facts_of,
    rows_of,
)
from fdbpl_jax.files import lock
from fdbpl_jax.reports.facts import RunFacts
from fdbpl_jax.reports.results import CellResult, Row
from fdbpl_jax.reports.text import terminal_notes, terminal_table
from fdbpl_jax.reports.write import write_report


def run(
    config: RunConfig, workdir: Path, command: str, share: Share | None = None
) -> Sequence[Row]:
    """Run every cell of the plan that is not finished, and write the report; its rows.

    Args:
      workdir: gets `<name>/<dataset>/<method>/seed<k>/`, `<name>/report.*`, and
        what runs share: tables in `ril/`, test features in `features/`, records of
        checked images in `images/`.
      command: how the program was called, for the report.
      share: of the cells, when several processes share the plan; None: all.

    Raises:
      UserError: bad input of any kind; finished cells and tables are kept. Cells that
        failed are named after the report is written.
    """
    share = share or Share()
    for method in share.only:
        if method not in config.methods:
            raise unknown_name("method in --only:", method, config.methods)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    inputs = load_inputs(config)
    sources, targets = open_datasets(config, inputs, workdir)
    parts = [
        _run_dataset(config, source, targets, inputs, workdir, share)
        for source in sources
    ]
    results = RunResults([*sources, *targets], parts)
    if not results.shared:
        raise results.failures[0].error
    rows = rows_of(config, results)
    facts = facts_of(config, results, rows, command, started)
    show(terminal_table(rows))
    show(f"\n{terminal_notes(facts)}")
    unwritten = _report(workdir / config.folder, rows, results, facts)
    refuse_failures([*results.failures, *unwritten])
    return rows


def _report(
    directory: Path, rows: Sequence[Row], results: RunResults, facts: RunFacts
) -> list[Failure]:
    """Write the report; what keeps it from being written, if it had to be."""
    try:
        write_report(directory, rows, results.cells, facts)
    except UserError as error:
        # What is only to be read, as a finished run may be, keeps the report it has.
        if os.access(directory, os.R_OK) and not os.access(directory, os.W_OK):
            logging.warning("the report stays as it was: %s", error)
            return []
        return [_failed("the report", error)]
    logging.info("report: %s", directory / "report.html")
    return []


def open_datasets(
    config: RunConfig, inputs: RunInputs, workdir: Path
) -> tuple[list[Dataset], list[Dataset]]:
    """Data sets trained on and targets, all looked at before any costs compute.

    Raises:
      UserError: one cannot be read, or a model reads two class names as one.
    """
    names = [*config.data.datasets, *config.data.targets]
    if config.data.template and all(map(has_template, names)):
        raise UserError(
            f"config data.template is set, and {first_few(names)} come with their own",
            "Leave it out: it is for your own data.",
        )
    datasets = [dataset_of(config, name, workdir) for name in names]
    called = [dataset.name for dataset in datasets]
    if twice := sorted({name for name in called if called.count(name) > 1}):
        raise UserError(
            f"several data sets are called '{twice[0]}': {first_few(names)}",
            "Name each once, and rename folders or lists that are called the same.",
        )
    for dataset in datasets:
        for clip in inputs.models:
            refuse_same_tokens(clip.tokenizer, dataset.class_names, dataset.name)
    count = len(config.data.datasets)
    return datasets[:count], datasets[count:]


def _run_dataset(
    config: RunConfig,
    dataset: Dataset,
    targets: Sequence[Dataset],
    inputs: RunInputs,
    workdir: Path,
    share: Share,
) -> DatasetResults:
    """Run this process's share of the cells, and read those that are finished."""
    try:
        shared = prepare(config, dataset, targets, inputs, workdir)
    except OUTSIDE as error:
        failure = _failed(f"all cells of {dataset.name}", error)
        return DatasetResults(None, [], [], [failure])
    if text := training_text(shared):
        logging.info("%s", text)
    for doubt in before_training(config, [shared]):
        logging.warning("%s", doubt)
    cells = share.of(shared.cells)
    with contextlib.ExitStack() as stack:
        if not all(cell.is_finished for cell in cells):
            # Of two runs with other settings one is refused, also if both begin now.
            stack.enter_context(lock(workdir / config.folder / LOCK, wait=True))
        for cell in cells:
            claim(cell.directory, cell_settings(config, shared, cell))
    untrained = untrained_results(shared)
    results, failures = _run_cells(config, shared, cells)
    finished = [cell for cell in cells if cell.is_finished]
    rejection = [line for cell in finished for line in read_rejection(cell.directory)]
    return DatasetResults(shared, [*untrained, *results], rejection, failures)


def _run_cells(
    config: RunConfig, shared: SharedInputs, cells: Sequence[Cell]
) -> tuple[list[CellResult], list[Failure]]:
    """Run the cells, those last that another process is training; in their order."""
    outcomes = []
    elsewhere: list[Cell] = []
    # A few at a time, so that what is done is also logged.
    at_once = config.sweep.at_once
    groups = [
        of_method[first : first + at_once]
        for method in config.methods
        for of_method in [[cell for cell in cells if cell.method.name == method]]
        for first in range(0, len(of_method), at_once)
    ]
    for group in groups:
        with contextlib.ExitStack() as locks:
            mine: list[Cell] = []
            for cell in group:
                free = cell.is_finished or locks.enter_context(lock_of(cell.directory))
                (mine if free else elsewhere).append(cell)
            outcomes.append(_attempt(config, shared, mine))
    for cell in elsewhere:
        logging.info("%s: waiting for another process that trains it", cell.directory)
        with lock_of(cell.directory, wait=True):
            outcomes.append(_attempt(config, shared, [cell]))
    order: list[tuple[str, int | None]]
    order = [(cell.name, cell.seed) for cell in cells]
    results = [result for part, _ in outcomes for result in part]
    results.sort(key=lambda result: order.index((result.method, result.seed)))
    return results, [failure for _, part in outcomes for failure in part]


def _attempt(
    config: RunConfig, shared: SharedInputs, cells: Sequence[Cell]
) -> tuple[list[CellResult], list[Failure]]:
    try:
        for cell in cells:
            if not cell.directory.is_dir():
                what = f"'{cell.directory}' was removed while this run used it"
                raise UserError(what)
        results = run_cells(config, shared, cells)
    except OUTSIDE as error:
        if len(cells) == 1:
            name = f"{shared.dataset.name} {cells[0].name} seed {cells[0].seed}"
            return [], [_failed(name, error)]
        # One of them spoiled it for all: each by itself, then.
        singles = [_attempt(config, shared, [cell]) for cell in cells]
        return [x for y, _ in singles for x in y], [x for _, y in singles for x in y]
    for result in results:
        _log_result(result)
    return results, []


def prepare_all(config: RunConfig, workdir: Path) -> Sequence[Failure]:
    """Make what cells share, and compile, before several processes start on them.

    Returns which data sets could not be prepared, and why.
    """
    inputs = load_inputs(config)
    failures: list[Failure] = []
    sources, targets = open_datasets(config, inputs, workdir)
    for dataset in sources:
        try:
            shared = prepare(config, dataset, targets, inputs, workdir)
            unfinished = [cell for cell in shared.cells if not cell.is_finished]
            compile_steps(config, shared, unfinished)
        except OUTSIDE as error:
            failures.append(_failed(f"what cells of {dataset.name} share", error))
    return failures


def refuse_failures(failures: Sequence[Failure]) -> None:
    """Raise a `UserError` that names them, if there are any."""
    if failures:
        raise UserError(
            f"{len(failures)} could not be run: {first_few(failures)}",
            "What is finished is kept and in the report. Mend the cause and run the "
            "same command again: only what is missing is run.",
        )


def _failed(what: str, error: Exception) -> Failure:
    failure = Failure(what, error)
    logging.error("failed: %s", failure)
    return failure


def _log_result(result: CellResult) -> None:
    accuracies = f"{result.base:.1f}"
    if result.new is not None:
        accuracies = f"base {result.base:.1f}, new {result.new:.1f}"
    name = f"{result.dataset} {result.method} seed {result.seed}"
    logging.info("%s: %s, trained in %.1f s", name, accuracies, result.train_seconds)

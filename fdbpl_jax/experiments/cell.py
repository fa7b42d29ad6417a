"""Running cells: trained, evaluated and kept.

A finished cell is read back; a killed one goes on from its last checkpoint.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from fdbpl_jax.clip.model import Clip
from fdbpl_jax.config import RunConfig
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.accuracy import share_correct
from fdbpl_jax.evaluation.prompted import predictions, written_predictions
from fdbpl_jax.evaluation.rejection import separations
from fdbpl_jax.evaluation.test_set import HeldOut, Predicted, TestSet, predicted
from fdbpl_jax.experiments import cell_files
from fdbpl_jax.experiments.assemble import (
    frozen_parts,
    hyper_of,
    initial_state,
    source_of,
    step_setup,
)
from fdbpl_jax.experiments.cells import Cell
from fdbpl_jax.experiments.costs import begin, completed, memory_above, times_of
from fdbpl_jax.experiments.identity import cell_settings
from fdbpl_jax.experiments.shared_inputs import SharedInputs
from fdbpl_jax.learners.learner import Prompts, Trained, tree_of
from fdbpl_jax.reports.results import CellResult, Rejection
from fdbpl_jax.training.checkpoint import export_prompts
from fdbpl_jax.training.loop import Run, Saving, TrainingResult, train
from fdbpl_jax.training.state import StepSetup

OWN_TEMPLATE = "zero-shot (data-set template)"  # the row of the data set's own


def run_cells(
    config: RunConfig, shared: SharedInputs, cells: Sequence[Cell]
) -> list[CellResult]:
    """Train and evaluate cells of one method, or read results of an earlier run.

    Up to `config.sweep.at_once` of them are trained at once, as far as they take as
    many steps; a method that sees pixels is trained one cell at a time.

    Args:
      cells: claimed as this run's, see `identity.claim`.

    Raises:
      UserError: training fails.
    """
    alike: dict[StepSetup, list[Cell]] = {}
    for cell in cells:
        if not cell.is_finished:
            setup = step_setup(config, shared.models, cell)
            alike.setdefault(setup, []).append(cell)
    for setup, group in alike.items():
        at_once = config.sweep.at_once if setup.method.reads_table else 1
        for first in range(0, len(group), at_once):
            _train_and_test(config, shared, setup, group[first : first + at_once])
    return [result for cell in cells for result in read_results(shared, cell)]


def read_results(shared: SharedInputs, cell: Cell) -> list[CellResult]:
    """The results of a finished cell, one per data set that it was tested on.

    Raises:
      UserError: what it keeps is damaged, or something else.
    """
    results = cell_files.read_results(cell.directory)
    expected = [(test.name, cell.name, cell.seed) for test in shared.test_sets]
    if [result.key for result in results] != expected:
        raise UserError(
            f"'{cell.result_file}' holds other cells than {expected}",
            f"Remove '{cell.directory}' and run again.",
        )
    table = shared.table.seconds if shared.table else 0.0
    return [completed(result, cell, table) for result in results]


def _train_and_test(
    config: RunConfig, shared: SharedInputs, setup: StepSetup, cells: Sequence[Cell]
) -> None:
    runs = [
        Run(
            initial_state(shared.models, setup, cell),
            hyper_of(config, cell),
            source_of(config, shared, cell),
            cell.directory,
            cell_files.settings_digest(cell.directory),
        )
        for cell in cells
    ]
    frozen = frozen_parts(shared.models, cells[0])
    saving = Saving(config.checkpoint_epochs, config.tensorboard)
    start = begin(cells)
    trained = train(setup, runs, frozen, saving)
    costs = {"load": start.load, "memory_bytes": memory_above(start)}
    for cell, result in zip(cells, trained, strict=True):
        _finish(config, shared, cell, result, costs)


def _finish(
    config: RunConfig,
    shared: SharedInputs,
    cell: Cell,
    result: TrainingResult,
    costs: dict[str, Any],
) -> None:
    """Test the prompts and write the cell's results, last."""
    costs = costs | times_of(cell.directory)
    tested = zip(shared.test_sets, shared.zero_shot, strict=True)
    results = [_test(shared, cell, result, *t).replaced(costs) for t in tested]
    if cell.method.measures_rejection:
        _write_rejection(shared, cell, result.prompts)
    export_cell(config, shared, cell, result.prompts, result.running)
    cell_files.write_results(cell.directory, results)


def export_cell(
    config: RunConfig,
    shared: SharedInputs,
    cell: Cell,
    prompts: Prompts,
    running: Any = None,
) -> None:
    """Write prompts of a cell, and all that is needed to use them elsewhere.

    `running` are the running statistics of learners that have them.
    """
    stored = tree_of(prompts)
    if running is not None:
        stored["running"] = tree_of(running)
    student, teacher = shared.models
    facts = {
        "class_names": list(cell.dataset.class_names),
        "template": cell.dataset.template,
        "student": {"name": student.name, "sha256": student.fingerprint},
        "teacher": {"name": teacher.name, "sha256": teacher.fingerprint},
        "config": cell_settings(config, shared, cell),
    }
    export_prompts(cell.directory / cell_files.EXPORT, stored, facts)


def _test(
    shared: SharedInputs,
    cell: Cell,
    result: TrainingResult,
    test_set: TestSet,
    zero_shot: Predicted,
) -> CellResult:
    trained = Trained(result.prompts.positive, result.running)

    def predict(held: HeldOut) -> np.ndarray:
        learner = cell.method.learner
        return predictions(shared.models, learner, cell.prompt, trained, held)

    # Contexts of single classes do not serve classes never trained on.
    ours = predicted(test_set, predict, new=not cell.prompt.class_specific)
    return CellResult(
        method=cell.name,
        seed=cell.seed,
        **_tested(test_set, ours),
        train_seconds=result.seconds,
        wait_seconds=result.waited,
        steps=result.steps,
        trained_values=sum(leaf.size for leaf in jax.tree.leaves(result.prompts)),
        changed=sum(
            int(np.sum(half != before))
            for half, before in zip(ours, zero_shot, strict=True)
            if half is not None
        ),
    )


def _tested(test_set: TestSet, ours: Predicted) -> dict[str, Any]:
    """The fields of a result that testing gives."""
    accuracy_of_new = None
    if test_set.new and ours.new is not None:
        accuracy_of_new = share_correct(ours.new, test_set.new.labels)
    return {
        "dataset": test_set.name,
        "base": share_correct(ours.base, test_set.base.labels),
        "new": accuracy_of_new,
    }


def _write_rejection(shared: SharedInputs, cell: Cell, prompts: Prompts) -> None:
    test_set, table = shared.test_sets[0], shared.table
    assert table is not None  # a method with a negative prompt reads one
    measured = separations(shared.models, cell.prompt, prompts, test_set, table)
    lines = [
        Rejection(test_set.name, cell.name, cell.seed, **separation._asdict())
        for separation in measured
    ]
    cell_files.write_rejection(cell.directory, lines)


def untrained_results(shared: SharedInputs) -> list[CellResult]:
    """Accuracy of hand-written text on the images that the cells are tested on.

    The student with `STUDENT_TEMPLATE` and with each data set's own template, and the
    teacher with the latter.
    """
    student, teacher = shared.models
    results = []
    for by_student, by_teacher, zero_shot in zip(
        shared.test_sets, shared.teacher_sets, shared.zero_shot, strict=True
    ):
        template = by_student.base.dataset.template
        results += [
            _untrained("zero-shot", by_student, zero_shot),
            _written(OWN_TEMPLATE, student, template, by_student),
            _written("teacher", teacher, template, by_teacher),
        ]
    return results


def _written(name: str, clip: Clip, template: str, test_set: TestSet) -> CellResult:
    predict = functools.partial(written_predictions, clip, template)
    return _untrained(name, test_set, predicted(test_set, predict))


def _untrained(name: str, test_set: TestSet, ours: Predicted) -> CellResult:
    return CellResult(
        method=name,
        seed=None,
        **_tested(test_set, ours),
        train_seconds=0.0,
        wait_seconds=0.0,
        steps=0,
        trained_values=0,
        epochs_seconds=0.0,
    )

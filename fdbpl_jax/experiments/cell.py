"""Running cells: trained, evaluated and kept.

A finished cell is read back; a killed one goes on from its last checkpoint.
"""

import resource
import sys
import time
from collections.abc import Sequence

import jax
import msgspec

from fdbpl_jax.clip.model import Clip, text_features
from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.types import prompt_name
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.accuracy import accuracy
from fdbpl_jax.evaluation.prompted import prompted_accuracy
from fdbpl_jax.evaluation.rejection import separations
from fdbpl_jax.evaluation.test_set import HeldOut, TestSet
from fdbpl_jax.experiments.assemble import (
    frozen_parts,
    hyper_of,
    initial_state,
    source_of,
    step_setup,
)
from fdbpl_jax.experiments.cells import Cell
from fdbpl_jax.experiments.identity import cell_settings
from fdbpl_jax.experiments.shared_inputs import SharedInputs
from fdbpl_jax.files import write_text
from fdbpl_jax.learners.learner import Prompts, Trained, tree_of
from fdbpl_jax.reports.results import CellResult, Rejection
from fdbpl_jax.training.checkpoint import export_prompts
from fdbpl_jax.training.loop import Run, Saving, TrainingResult, train
from fdbpl_jax.training.state import StepSetup

STUDENT_TEMPLATE = "a photo of a {}."  # what the prompts start from
OWN_TEMPLATE = "zero-shot (data-set template)"  # the row of the data set's own
_REJECTION = "rejection.json"


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
      UserError: the file holds something else.
    """
    file = cell.result_file
    lines = file.read_text().splitlines()
    results = [CellResult.from_json(line, f"'{file}'") for line in lines]
    expected = [(test.name, cell.name, cell.seed) for test in shared.test_sets]
    if [result.key for result in results] != expected:
        raise UserError(
            f"'{file}' holds other cells than {expected}",
            f"Remove '{cell.directory}' and run again.",
        )
    return results


def read_rejection(cell: Cell) -> list[Rejection]:
    """How well a finished cell rejects; empty if it has no negative prompt."""
    file = cell.directory / _REJECTION
    if not file.exists():
        return []
    return msgspec.json.decode(file.read_bytes(), type=list[Rejection])


def _train_and_test(
    config: RunConfig, shared: SharedInputs, setup: StepSetup, cells: Sequence[Cell]
) -> None:
    runs = [
        Run(
            initial_state(shared.models, setup, cell),
            hyper_of(config, cell),
            source_of(config, shared, cell),
            cell.directory,
        )
        for cell in cells
    ]
    frozen = frozen_parts(shared.models, cells[0])
    saving = Saving(config.checkpoint_epochs, config.tensorboard)
    for cell, result in zip(cells, train(setup, runs, frozen, saving), strict=True):
        _finish(config, shared, cell, result)


def _finish(
    config: RunConfig, shared: SharedInputs, cell: Cell, result: TrainingResult
) -> None:
    """Test the prompts and write the cell's results, last."""
    results = [_test(shared, cell, result, test_set) for test_set in shared.test_sets]
    if cell.method.measures_rejection:
        _write_rejection(shared, cell, result.prompts)
    stored = tree_of(result.prompts)
    if result.running is not None:
        stored["running"] = tree_of(result.running)
    student, teacher = shared.models
    facts = {
        "class_names": list(cell.dataset.class_names),
        "template": cell.dataset.template,
        "student": {"name": student.name, "sha256": student.fingerprint},
        "teacher": {"name": teacher.name, "sha256": teacher.fingerprint},
        "config": cell_settings(config, shared, cell),
    }
    export_prompts(cell.directory / "export", stored, facts)
    write_text(cell.result_file, "".join(line.to_json() for line in results))


def _test(
    shared: SharedInputs, cell: Cell, result: TrainingResult, test_set: TestSet
) -> CellResult:
    start = time.perf_counter()
    trained = Trained(result.prompts.positive, result.running)
    # Contexts of single classes do not serve classes never trained on.
    new = None if cell.prompt.class_specific else test_set.new

    def score(held: HeldOut) -> float:
        learner = cell.method.learner
        return prompted_accuracy(shared.models, learner, cell.prompt, trained, held)

    return CellResult(
        dataset=test_set.name,
        method=cell.name,
        seed=cell.seed,
        base=score(test_set.base),
        new=score(new) if new else None,
        train_seconds=result.seconds,
        wait_seconds=result.waited,
        test_seconds=time.perf_counter() - start,
        steps=result.steps,
        trained_values=sum(leaf.size for leaf in jax.tree.leaves(result.prompts)),
        peak_memory_bytes=peak_memory_bytes(),
    )


def _write_rejection(shared: SharedInputs, cell: Cell, prompts: Prompts) -> None:
    test_set, table = shared.test_sets[0], shared.table
    assert table is not None  # a method with a negative prompt reads one
    measured = separations(shared.models, cell.prompt, prompts, test_set, table)
    lines = [
        Rejection(test_set.name, cell.name, cell.seed, **separation._asdict())
        for separation in measured
    ]
    text = msgspec.json.format(msgspec.json.encode(lines), indent=1)
    write_text(cell.directory / _REJECTION, text.decode() + "\n")


def untrained_results(shared: SharedInputs) -> list[CellResult]:
    """Accuracy of hand-written text on the images that the cells are tested on.

    The student with `STUDENT_TEMPLATE` and with each data set's own template, and the
    teacher with the latter.
    """
    student, teacher = shared.models
    results = []
    for by_student, by_teacher in zip(
        shared.test_sets, shared.teacher_sets, strict=True
    ):
        template = by_student.base.dataset.template
        results += [
            _zero_shot("zero-shot", student, STUDENT_TEMPLATE, by_student),
            _zero_shot(OWN_TEMPLATE, student, template, by_student),
            _zero_shot("teacher", teacher, template, by_teacher),
        ]
    return results


def _zero_shot(name: str, clip: Clip, template: str, test_set: TestSet) -> CellResult:
    start = time.perf_counter()

    def score(held: HeldOut) -> float:
        names = [prompt_name(name) for name in held.dataset.class_names]
        text = text_features(clip, [template.format(name) for name in names])
        return accuracy(held.features, held.labels, text)

    return CellResult(
        dataset=test_set.name,
        method=name,
        seed=None,
        base=score(test_set.base),
        new=score(test_set.new) if test_set.new else None,
        train_seconds=0.0,
        wait_seconds=0.0,
        test_seconds=time.perf_counter() - start,
        steps=0,
        trained_values=0,
        peak_memory_bytes=peak_memory_bytes(),
    )


def peak_memory_bytes() -> int:
    """The most memory used so far: the accelerator's, or on a CPU the process's."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return int(stats["peak_bytes_in_use"])
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

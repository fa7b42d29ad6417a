"""The trainings of `learn`: candidates, judged by validation images, and the last."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging

from fdbpl_jax.clip.model import Clip
from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.evaluation.accuracy import standard_error
from fdbpl_jax.experiments.assemble import initial_state, step_setup
from fdbpl_jax.experiments.cell import export_cell, run_cells, untrained_results
from fdbpl_jax.experiments.cell_files import EXPORT
from fdbpl_jax.experiments.cells import Cell
from fdbpl_jax.experiments.identity import cell_settings, claim
from fdbpl_jax.experiments.shared_inputs import SharedInputs
from fdbpl_jax.experiments.sweep import settings_of
from fdbpl_jax.experiments.training_sets import Selection, training_set
from fdbpl_jax.learning.options import needs_labels
from fdbpl_jax.methods.table import METHODS, Images

ZERO_SHOT = "zero-shot"


class CellSource(NamedTuple):
    """What the images of cells are taken from."""

    dataset: Dataset
    student: Clip  # which chooses images for UPL
    workdir: Path


class Score(NamedTuple):
    """How a candidate does on the images that it is judged by."""

    name: str  # a method's, or `ZERO_SHOT`
    accuracy: float  # percent
    images: int

    @property
    def error(self) -> float:
        """Standard error of a share of so many images, in points."""
        return standard_error(self.accuracy, self.images)


def cell_of(config: RunConfig, name: str, source: CellSource, folder: Path) -> Cell:
    """The training of a method on all images of a data set that it can learn from."""
    method, dataset = METHODS[name], source.dataset
    train = dataset.train
    (setting,) = settings_of(config, name)
    (seed,) = config.seeds
    if method.images is Images.PSEUDO:
        selection = Selection(method.images, "all", setting.shots, seed)
        train = training_set(dataset, selection, source.student, source.workdir).train
    elif needs_labels(method):
        train = tuple(example for example in train if example.is_labelled)
    return Cell(
        method=method,
        prompt=config.prompt_of(name),
        setting=setting,
        seed=seed,
        dataset=dataclasses.replace(dataset, train=train),
        names=dataset.class_names,
        directory=folder / name / f"seed{seed}",
    )


def trained(config: RunConfig, shared: SharedInputs, cell: Cell) -> Score:
    """Train a cell that is not finished; how it does on the validation images."""
    claim(cell.directory, cell_settings(config, shared, cell))
    (result,) = run_cells(config, shared, [cell])
    return Score(cell.method.name, result.base, _images(shared))


def untrained(shared: SharedInputs) -> tuple[Score, Score]:
    """The scores of hand-written text: the student's "a photo of a", the teacher's."""
    of = {result.method: result.base for result in untrained_results(shared)}
    images = _images(shared)
    zero_shot, teacher = (Score(x, of[x], images) for x in (ZERO_SHOT, "teacher"))
    return zero_shot, teacher


def candidates(
    config: RunConfig, shared: SharedInputs, deadline: float
) -> Iterator[Score]:
    """Train the cells one after the other; the score of each.

    Args:
      deadline: on the monotonic clock. A cell is not begun if it would not end in time
        together with one more training, supposed that each takes as long as the
        longest. The first is always trained.
    """
    longest = 0.0
    for number, cell in enumerate(shared.cells):
        start = time.monotonic()
        if number and start + 2 * longest > deadline:
            names = ", ".join(cell.method.name for cell in shared.cells[number:])
            logging.warning("no time is left to try %s: raise --minutes", names)
            return
        score = trained(config, shared, cell)
        longest = max(longest, time.monotonic() - start)
        logging.info("%s: %.1f ± %.1f %%", score.name, score.accuracy, score.error)
        yield score


def simplest_of_the_best(scores: Sequence[Score]) -> Score:
    """The first score that is not below the highest by more than its standard error.

    The one-standard-error rule (Breiman et al., Classification and regression trees,
    1984): a difference within the error of the images is no reason to take the less
    simple one. The simpler ones stand first.
    """
    best = max(scores, key=lambda score: score.accuracy)
    return next(s for s in scores if s.accuracy >= best.accuracy - best.error)


def export_untrained(config: RunConfig, shared: SharedInputs, cell: Cell) -> Path:
    """Export the prompts that the cell starts from: "a photo of a". Its folder."""
    setup = step_setup(config, shared.models, cell)
    prompts = initial_state(shared.models, setup, cell).prompts
    export_cell(config, shared, cell, prompts)
    return cell.directory / EXPORT


def _images(shared: SharedInputs) -> int:
    return len(shared.test_sets[0].base.labels)

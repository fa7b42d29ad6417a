"""What a data set's cells share: test features, shots, table; made once, or found."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax import device
from fdbpl_jax.clip.model import Clip, cast, load_clip
from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.images import check_images
from fdbpl_jax.data.open_dataset import open_dataset
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.experiments.assemble import Stage
from fdbpl_jax.experiments.cell import zero_shot
from fdbpl_jax.experiments.protocols import PROTOCOLS
from fdbpl_jax.experiments.ril_table import training_table
from fdbpl_jax.experiments.sweep import settings_of
from fdbpl_jax.experiments.test_sets import Exam, exams_of
from fdbpl_jax.experiments.training_sets import TrainedOn, training_data
from fdbpl_jax.methods.method import METHODS
from fdbpl_jax.reports.facts import TableFacts
from fdbpl_jax.reports.results import CellResult
from fdbpl_jax.shapes.pair import embedded

STUDENT_TEMPLATE = "a photo of a {}."  # what the prompts start from


class Prepared(NamedTuple):
    """A data set with all that its cells share.

    dataset: all classes. trained_on: by method, seed and shots, the classes and images
    that are trained on. stage: towers, test features, table. untrained: the zero-shot
    cells. table_facts: of the table, None where no method reads one. feature_seconds:
    that the test features of both towers took.
    """

    dataset: Dataset
    trained_on: TrainedOn
    stage: Stage
    untrained: list[CellResult]
    table_facts: TableFacts | None
    feature_seconds: float


def load_pair(config: RunConfig) -> tuple[Clip, Clip]:
    """Student and teacher, or the embedded ones, in the dtype they are to run in."""
    dtype = device.tower_dtype(config.dtype)
    sources = {"student": config.student, "teacher": config.teacher}
    student, teacher = (
        cast(load_clip(source or str(embedded(name))), dtype)
        for name, source in sources.items()
    )
    return student, teacher


def dataset_of(config: RunConfig, name: str, workdir: Path) -> Dataset:
    """One of the run's data sets; embedded ones are rendered in the workdir."""
    rendered = workdir / "shapes"
    return open_dataset(name, config.data.root, rendered, "--config.data.root")


def prepare(
    config: RunConfig,
    dataset: Dataset,
    targets: Sequence[Dataset],
    student: Clip,
    teacher: Clip,
    workdir: Path,
) -> Prepared:
    """Draws the shots, encodes the test images, and builds or opens the table.

    Args:
      config: of the run.
      dataset: trained on.
      targets: other data sets that the prompts are tested on.
      student, teacher: the models.
      workdir: of tables and features.

    Raises:
      UserError: the images, the table or the settings do not serve.
    """
    start = time.perf_counter()
    cache = workdir / "features"
    seen, by_teacher = (
        exams_of(config, clip, dataset, targets, cache) for clip in (student, teacher)
    )
    feature_seconds = time.perf_counter() - start
    trained_on = draw(config, dataset, student, cache)
    used = {example.path for one in trained_on.values() for example in one.train}
    check_images(dataset.root, sorted(used))
    table, facts = training_table(config, trained_on, student, teacher, workdir)
    stage = Stage(student, teacher, seen, table)
    untrained = _untrained(student, teacher, seen, by_teacher)
    return Prepared(dataset, trained_on, stage, untrained, facts, feature_seconds)


def draw(
    config: RunConfig, dataset: Dataset, student: Clip, cache: Path
) -> dict[tuple[str, int, int], Dataset]:
    """The classes and training images of every method, seed and number of shots."""
    which = PROTOCOLS[config.protocol].classes[0]
    return {
        (method, seed, setting.shots): training_data(
            METHODS[method], dataset, which, setting.shots, seed, student, cache
        )
        for method in config.methods
        for setting in settings_of(config, method)
        for seed in config.seeds
    }


def _untrained(
    student: Clip, teacher: Clip, seen: Sequence[Exam], by_teacher: Sequence[Exam]
) -> list[CellResult]:
    found = []
    for exam, of_teacher in zip(seen, by_teacher, strict=True):
        own = exam.base.dataset.template
        found += [
            zero_shot("zero-shot", student, STUDENT_TEMPLATE, exam),
            zero_shot("zero-shot, own template", student, own, exam),
            zero_shot("teacher", teacher, own, of_teacher),
        ]
    return found

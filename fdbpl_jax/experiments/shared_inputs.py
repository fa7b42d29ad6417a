"""What the cells of a data set share: test features, training images, RIL table."""

import dataclasses
import functools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from fdbpl_jax.clip.model import Clip
from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.contents import copies, without_broken
from fdbpl_jax.data.open_dataset import open_dataset
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.data.splits import subset
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.accuracy import share_correct
from fdbpl_jax.evaluation.features import tower_features
from fdbpl_jax.evaluation.prompted import written_predictions
from fdbpl_jax.evaluation.test_set import HeldOut, Predicted, TestSet, predicted
from fdbpl_jax.experiments.cells import Cell, NamesFile, RunInputs, plan_cells
from fdbpl_jax.experiments.protocols import PROTOCOLS, refuse_few_classes
from fdbpl_jax.experiments.ril_table import table_images, training_table
from fdbpl_jax.experiments.training_sets import source_images
from fdbpl_jax.learners.learner import Models
from fdbpl_jax.reports.facts import TableFacts
from fdbpl_jax.ril.table import Table

STUDENT_TEMPLATE = "a photo of a {}."  # of zero-shot; what the prompts start from


class TrainingAccuracy(NamedTuple):
    """How often hand-written text is right on the labelled training images."""

    teacher: float  # percent
    student: float
    images: int
    classes: int


class SharedInputs(NamedTuple):
    """A data set with all that its cells share."""

    dataset: Dataset  # all classes
    models: Models
    names: NamesFile | None
    test_sets: tuple[TestSet, ...]  # with the student's features; first the data set's
    teacher_sets: tuple[TestSet, ...]  # the same with the teacher's
    zero_shot: tuple[Predicted, ...]  # the student's, by `STUDENT_TEMPLATE`
    training: TrainingAccuracy | None  # None: no method has a teacher
    cells: tuple[Cell, ...]
    table: Table | None  # None: no method reads one
    table_facts: TableFacts | None
    feature_seconds: float  # that the test features of both towers took


class Planned(NamedTuple):
    """Cells of a data set, and the images that they need."""

    dataset: Dataset
    parts: Sequence[Dataset]  # tested on, see `evaluated_parts`
    cells: tuple[Cell, ...]
    table: Dataset | None  # with the images of the table; None: no method reads one


def dataset_of(config: RunConfig, name: str, workdir: Path) -> Dataset:
    """One of the run's data sets; embedded ones are rendered in the workdir.

    Raises:
      UserError: something is wrong with it, or it has too few classes.
    """
    rendered, data = workdir / "shapes", config.data
    dataset = open_dataset(
        name, data.root, rendered, "--config.data.root", data.template
    )
    refuse_few_classes(config.protocol, dataset)
    if data.skip_broken_images:
        dataset = without_broken(dataset, workdir / "images")
    return dataset


def prepare(
    config: RunConfig,
    dataset: Dataset,
    targets: Sequence[Dataset],
    inputs: RunInputs,
    workdir: Path,
) -> SharedInputs:
    """Encode the test images, draw the shots, and build or open the table.

    Raises:
      UserError: unreadable images, an incompatible table or invalid settings.
    """
    parts = evaluated_parts(config, dataset, targets)
    cells = plan_cells(config, dataset, inputs, workdir)
    of_table = table_images(cells)
    return share(config, Planned(dataset, parts, cells, of_table), inputs, workdir)


def share(
    config: RunConfig, planned: Planned, inputs: RunInputs, workdir: Path
) -> SharedInputs:
    """Make what planned cells share: test features, and the table.

    Raises:
      UserError: unreadable images, or an incompatible table.
    """
    start, models = time.perf_counter(), inputs.models
    dataset, parts, cells, of_table = planned
    roots = {data.root for data in (dataset, *parts)}
    images = {root: source_images(root, workdir) for root in roots}
    cache = workdir / "features"
    student_sets, teacher_sets = encode_test_sets(config, models, parts, images, cache)
    feature_seconds = time.perf_counter() - start
    used = {example.path for cell in cells for example in cell.dataset.train}
    source = images[dataset.root]
    source.facts(sorted(used))  # checked, whether a method reads a table or not
    for part in parts:
        trained = used if part.root == dataset.root else frozenset()
        tested = [example.path for example in getattr(part, config.eval_split)]
        tested = [path for path in tested if path not in trained]  # those on purpose
        for warning in copies(source, sorted(used), images[part.root], tested):
            logging.warning("%s: %s", part.name, warning)
    training = None
    if any(cell.method.has_teacher for cell in cells):
        part = training_part(config, dataset, cells)
        if part.train:
            training = _training_accuracy(models, part, source, cache)
    table, facts = training_table(config, of_table, models, workdir, source)
    return SharedInputs(
        dataset=dataset,
        models=models,
        names=inputs.names,
        test_sets=student_sets,
        teacher_sets=teacher_sets,
        zero_shot=tuple(_zero_shot(models.student, test) for test in student_sets),
        training=training,
        cells=cells,
        table=table,
        table_facts=facts,
        feature_seconds=feature_seconds,
    )


def training_part(
    config: RunConfig, dataset: Dataset, cells: Sequence[Cell]
) -> Dataset:
    """The classes trained on, with the labelled training images of all cells."""
    used = {example.path for cell in cells for example in cell.dataset.train}
    part = subset(dataset, PROTOCOLS[config.protocol].classes[0])
    train = (x for x in part.train if x.path in used and x.is_labelled)
    return dataclasses.replace(part, train=tuple(train))


def _training_accuracy(
    models: Models, part: Dataset, images: SourceImages, cache: Path
) -> TrainingAccuracy:
    labels = np.array([example.label for example in part.train], np.int32)
    features = tower_features(models, images, part.train, cache)
    student, teacher = (
        share_correct(
            written_predictions(
                clip, part.template, HeldOut(part, part.train, x, labels)
            ),
            labels,
        )
        for clip, x in zip(models, features, strict=True)
    )
    return TrainingAccuracy(teacher, student, len(labels), len(part.class_names))


def _zero_shot(student: Clip, test: TestSet) -> Predicted:
    predict = functools.partial(written_predictions, student, STUDENT_TEMPLATE)
    return predicted(test, predict)


def evaluated_parts(
    config: RunConfig, source: Dataset, targets: Sequence[Dataset]
) -> list[Dataset]:
    """The parts of data sets that are tested, each by itself: first the source's.

    Raises:
      UserError: one has no image of the split that is tested on.
    """
    parts = [
        (subset(source, which), which) for which in PROTOCOLS[config.protocol].classes
    ]
    parts += [(target, "all") for target in targets]
    for dataset, which in parts:
        if not getattr(dataset, config.eval_split):
            raise UserError(
                f"data set '{dataset.name}' has no {config.eval_split} image of its "
                f"{which} classes",
                "Set --config.eval_split to a split that has some.",
            )
    return [dataset for dataset, _ in parts]


def encode_test_sets(
    config: RunConfig,
    models: Models,
    parts: Sequence[Dataset],
    images: Mapping[Path, SourceImages],
    cache: Path,
) -> list[tuple[TestSet, ...]]:
    """The parts of `evaluated_parts` with the features of each model.

    A set per data set; an image is decoded once for both models. `images` are by root,
    `cache` is the folder of kept features.
    """
    by_part = []
    for part in parts:
        examples = getattr(part, config.eval_split)
        labels = np.array([example.label for example in examples], np.int32)
        features = tower_features(models, images[part.root], examples, cache)
        by_part.append([HeldOut(part, examples, x, labels) for x in features])
    classes = len(PROTOCOLS[config.protocol].classes)
    test_sets = []
    for held in zip(*by_part, strict=True):
        first = TestSet(held[0].dataset.name, held[0], held[1] if classes > 1 else None)
        others = [TestSet(part.dataset.name, part, None) for part in held[classes:]]
        test_sets.append((first, *others))
    return test_sets

"""All classes and all images of a user's data as one classifier."""

import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.folder import refuse_existing, write_classifier
from fdbpl_jax.classifier.stored import Accuracy
from fdbpl_jax.classifier.tested import evaluate
from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.cautions import training_text, worse_teacher
from fdbpl_jax.experiments.cell_files import EXPORT
from fdbpl_jax.experiments.cells import RunInputs, load_inputs
from fdbpl_jax.experiments.probe import probe
from fdbpl_jax.experiments.processes import LOCK
from fdbpl_jax.experiments.ril_table import table_spec
from fdbpl_jax.experiments.shared_inputs import Planned, SharedInputs, share
from fdbpl_jax.experiments.training_sets import source_images
from fdbpl_jax.files import lock
from fdbpl_jax.files.sealed import digest
from fdbpl_jax.learning.images import (
    LearnImages,
    learn_images,
    refuse_unnamed_models,
)
from fdbpl_jax.learning.made import Learned, made_of
from fdbpl_jax.learning.options import (
    CANDIDATES,
    UNSUPERVISED,
    LearnOptions,
    methods_of,
    settings,
    workdir_of,
)
from fdbpl_jax.learning.trainings import (
    ZERO_SHOT,
    CellSource,
    Score,
    candidates,
    cell_of,
    export_untrained,
    simplest_of_the_best,
    trained,
    untrained,
)

_TABLE_SHARE = 0.5  # of the time that is left: for the teacher


class _Work(NamedTuple):
    """What the steps of one call share."""

    options: LearnOptions
    images: LearnImages
    inputs: RunInputs
    deadline: float  # on the monotonic clock
    folder: Path  # of the trainings

    @property
    def workdir(self) -> Path:
        return workdir_of(self.options)

    def source(self, dataset: Dataset) -> CellSource:
        return CellSource(dataset, self.inputs.models.student, self.workdir)


def learn(
    data: str, out: str | Path, options: LearnOptions = LearnOptions()
) -> Learned:
    """Learn a classifier of all classes from all images, and write its folder.

    With labels, a part of the images is put aside, methods are trained on the others,
    and of the best on that part (within its standard error) the simplest is trained
    again on everything. Without labels coop+fdbpl learns from the teacher alone. A call
    that was killed goes on where it was, and takes finished trainings from the workdir.

    Args:
      data: folder of class folders, CSV list, folder of Hugging Face `datasets`, or
        images without labels together with `options.classes`; or the name of an
        embedded data set.
      out: the folder of the classifier.

    Raises:
      UserError: bad input of any kind; or there is a classifier in `out`.
    """
    started, folder = time.monotonic(), Path(out).expanduser()
    _refuse(data, folder, options)
    inputs = load_inputs(settings(options, [UNSUPERVISED], images=1))
    images = learn_images(data, options, inputs.models)
    deadline = started + (60.0 * options.minutes or math.inf)
    if options.minutes:
        options = _affordable(options, images, inputs, deadline)
    place = _folder(options, images, inputs)
    work = _Work(options, images, inputs, deadline, place)
    config, shared = _share(work)
    with lock(work.folder / LOCK, wait=True):
        return _learn(work, config, shared, folder)


def _refuse(data: str, folder: Path, options: LearnOptions) -> None:
    """Refuse what would only be noticed after the work."""
    refuse_existing(folder, options.overwrite)
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make '{folder}' ({error.strerror})", "Choose another --out."
        ) from error
    methods_of(options, has_labels=True)
    refuse_unnamed_models(data, options)


def _learn(
    work: _Work, config: RunConfig, shared: SharedInputs, folder: Path
) -> Learned:
    options, images = work.options, work.images
    zero_shot, teacher = untrained(shared)
    scores = [zero_shot, *candidates(config, shared, work.deadline)]
    # Hand-written text is no candidate where methods are asked for, nor without labels,
    # where the teacher is followed.
    is_open = images.has_labels and not options.methods
    chosen = simplest_of_the_best(scores if is_open else scores[1:])
    if chosen.accuracy + chosen.error < zero_shot.accuracy:
        logging.warning("%s is worse than %s", chosen.name, zero_shot.name)
    judged = _export_judged(work, config, shared, chosen)
    rejection = _rejection(judged, shared, options)
    final = _export_final(work, shared, chosen) or judged
    classifier = Classifier.load(final, options.student, options.teacher)
    test = _test_accuracy(work, classifier)
    learned = Learned(
        classifier=classifier,
        folder=folder,
        chosen=chosen,
        scores=tuple(scores),
        teacher=teacher,
        has_labels=images.has_labels,
        test=test,
    )
    made = made_of(images, options, learned, rejection)
    write_classifier(folder, final, made, options.overwrite, classifier)
    stored = Classifier.load(folder, options.student, options.teacher)
    return learned._replace(classifier=stored)


def _share(work: _Work) -> tuple[RunConfig, SharedInputs]:
    """The settings of the trainings that are judged, and what these share."""
    options, images, inputs = work.options, work.images, work.inputs
    dataset = images.dataset
    methods = methods_of(options, images.has_labels)
    config = settings(options, methods, len(dataset.train))
    source = work.source(dataset)
    cells = tuple(cell_of(config, name, source, work.folder) for name in methods)
    reads_table = any(cell.method.reads_table for cell in cells)
    table = images.everything if reads_table else None
    planned = Planned(dataset, [dataset], cells, table)
    shared = share(config, planned, inputs, work.workdir)
    if text := training_text(shared):
        logging.info("%s", text)
    for doubt in worse_teacher(shared):
        logging.warning("%s: %s", dataset.name, doubt)
    return config, shared


def _folder(options: LearnOptions, images: LearnImages, inputs: RunInputs) -> Path:
    """Where trainings are kept: other images or settings have another folder."""
    dataset, workdir = images.dataset, workdir_of(options)
    config = settings(options, [UNSUPERVISED], images=1)
    source = source_images(dataset.root, workdir)
    spec = table_spec(config, images.everything, inputs.models, source)
    parts = [[(x.path, x.label) for x in part] for part in (dataset.train, dataset.val)]
    key = digest([spec.fingerprint(), parts, options.seed])
    return workdir / "learn" / f"{dataset.name}-{key[:12]}"


def _affordable(
    options: LearnOptions, images: LearnImages, inputs: RunInputs, deadline: float
) -> LearnOptions:
    """As many regions as the teacher can see in its share of the time, as measured."""
    dataset = images.dataset
    config = settings(options, [UNSUPERVISED], len(dataset.train))
    judged = dataclasses.replace(dataset, test=dataset.val)
    rates = probe(config, judged, inputs)
    left = _TABLE_SHARE * (deadline - time.monotonic())
    seconds = rates.region * len(images.everything.train)
    regions = max(1, min(options.regions, int(left / seconds)))
    if regions < options.regions:
        logging.info("%d regions per image instead of %d", regions, options.regions)
    return dataclasses.replace(options, regions=regions)


def _export_judged(
    work: _Work, config: RunConfig, shared: SharedInputs, chosen: Score
) -> Path:
    """The export of the chosen method's prompts as they were judged."""
    if chosen.name == ZERO_SHOT:
        config = settings(work.options, [CANDIDATES[0]], images=1)
        source, folder = work.source(work.images.dataset), work.folder / ZERO_SHOT
        cell = cell_of(config, CANDIDATES[0], source, folder)
        return export_untrained(config, shared, cell)
    (cell,) = (x for x in shared.cells if x.method.name == chosen.name)
    return cell.directory / EXPORT


def _export_final(work: _Work, shared: SharedInputs, chosen: Score) -> Path | None:
    """Train the chosen method on everything; None where that changes nothing."""
    images, options = work.images, work.options
    if chosen.name == ZERO_SHOT or options.keep_validation or not images.has_labels:
        return None
    everything = images.everything
    config = settings(options, [chosen.name], len(everything.train))
    folder, source = work.folder / "everything", work.source(everything)
    cell = cell_of(config, chosen.name, source, folder)
    logging.info("%s once more, on all %d images", chosen.name, len(everything.train))
    trained(config, shared, cell)
    return cell.directory / EXPORT


def _rejection(
    judged: Path, shared: SharedInputs, options: LearnOptions
) -> Sequence[float]:
    """Rejection scores of the images that are judged by; none: no negative prompt."""
    classifier = Classifier.load(judged, options.student, options.teacher)
    texts = classifier.texts(classifier.class_names)
    if texts.negative is None:
        return ()
    features = shared.test_sets[0].base.features
    predictions = classifier.predict_features(features, texts, top=1)
    return [said.rejection for said in predictions if said.rejection is not None]


def _test_accuracy(work: _Work, classifier: Classifier) -> Accuracy | None:
    dataset = work.images.dataset
    if not dataset.test:
        return None
    return evaluate(classifier, dataset, work.workdir).accuracy

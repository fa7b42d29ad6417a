"""What `learn` ends with, and what the files of a classifier say of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.folder import Made
from fdbpl_jax.classifier.stored import Accuracy
from fdbpl_jax.learning.images import LearnImages
from fdbpl_jax.learning.options import LearnOptions
from fdbpl_jax.learning.trainings import Score


class Learned(NamedTuple):
    """What `learn` ends with."""

    classifier: Classifier
    folder: Path
    chosen: Score
    # Of hand-written text and of the methods tried, on validation images. Without
    # labels: how often each says what the teacher says, on the training images.
    scores: tuple[Score, ...]
    teacher: Score  # hand-written text with the teacher
    has_labels: bool
    test: Accuracy | None  # None: the data state no test images


def made_of(
    images: LearnImages,
    options: LearnOptions,
    learned: Learned,
    rejection: Sequence[float],
) -> Made:
    """What the classifier's files say of how it was made.

    `rejection` are the scores of the images that it was judged by.
    """
    dataset, everything = images.dataset, images.everything
    labelled = sum(example.is_labelled for example in everything.train)
    return Made(
        data=f"{dataset.name}: {len(everything.train)} images, {labelled} with a label",
        how=_how(images, options, learned),
        accuracies=_accuracies(learned),
        rejection=rejection,
    )


def _how(
    images: LearnImages, options: LearnOptions, learned: Learned
) -> Mapping[str, Any]:
    return {
        "chosen": learned.chosen.name,
        "of": [score.name for score in learned.scores],
        "validation images": len(images.dataset.val) * images.has_labels,
        "regions per image": options.regions,
        "shots": options.shots or "all",
        "seed": options.seed,
    }


def _accuracies(learned: Learned) -> dict[str, Accuracy]:
    chosen = learned.chosen
    if not learned.has_labels:
        what = "agreement with the teacher on the training images"
        return {what: Accuracy(chosen.accuracy, chosen.images)}
    what = "validation images, which it did not see when this was measured"
    accuracies = {what: Accuracy(chosen.accuracy, chosen.images)}
    if learned.test is not None:
        accuracies["test images"] = learned.test
    return accuracies

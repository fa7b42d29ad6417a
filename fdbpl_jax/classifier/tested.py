"""How well a classifier does on labelled images, per class too."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.stored import Accuracy
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.data.types import Dataset, Example
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.accuracy import (
    nearest_classes,
    per_class_accuracy,
    share_correct,
)
from fdbpl_jax.evaluation.features import encoded, tower_features


class Evaluated(NamedTuple):
    """Predicted classes of labelled images."""

    class_names: tuple[str, ...]
    paths: tuple[str, ...]
    labels: Int[np.ndarray, " N"]
    predicted: Int[np.ndarray, " N"]

    @property
    def accuracy(self) -> Accuracy:
        """Of all images."""
        return Accuracy(share_correct(self.predicted, self.labels), len(self.labels))

    def by_class(self) -> list[Accuracy | None]:
        """Of the images of each class; None for a class without images."""
        classes = len(self.class_names)
        percents = per_class_accuracy(self.predicted, self.labels, classes)
        images = np.bincount(self.labels, minlength=classes)
        return [
            Accuracy(float(percent), int(count)) if count else None
            for percent, count in zip(percents, images, strict=True)
        ]

    def confused(self) -> list[tuple[str, str, int]]:
        """Class, predicted class and images of what is confused, most images first."""
        wrong = self.labels != self.predicted
        pairs = zip(self.labels[wrong], self.predicted[wrong], strict=True)
        return [
            (self.class_names[label], self.class_names[guess], count)
            for (label, guess), count in Counter(pairs).most_common()
        ]


def evaluate(
    classifier: Classifier, dataset: Dataset, workdir: Path, split: str = "test"
) -> Evaluated:
    """Classify labelled images among the classes of their data set.

    Features of images are kept in the workdir where the image tower has no prompts.

    Args:
      split: "test", "val", "train", or "all" of them.

    Raises:
      UserError: there is no such image, images cannot be read, or contexts of single
        classes are of others.
    """
    examples = _examples(dataset, split)
    if not examples:
        raise UserError(f"data set '{dataset.name}' has no {split} image", "Add some.")
    names = dataset.class_names
    labels = np.array([example.label for example in examples], np.int32)
    if set(names) == set(classifier.class_names):
        label_of = {name: label for label, name in enumerate(classifier.class_names)}
        labels = np.array([label_of[name] for name in names], np.int32)[labels]
        names = classifier.class_names
    texts = classifier.texts(names, dataset.template)  # first: it refuses names
    features = _features(classifier, dataset, examples, workdir)
    if texts.positive is None:
        predicted = classifier.cosines(features, texts).argmax(axis=1)
    else:
        predicted = nearest_classes(features, texts.positive)
    paths = tuple(example.path for example in examples)
    return Evaluated(names, paths, labels, predicted.astype(np.int32))


def _examples(dataset: Dataset, split: str) -> Sequence[Example]:
    if split == "all":
        return [*dataset.train, *dataset.val, *dataset.test]
    return {"train": dataset.train, "val": dataset.val, "test": dataset.test}[split]


def _features(
    classifier: Classifier,
    dataset: Dataset,
    examples: Sequence[Example],
    workdir: Path,
) -> np.ndarray:
    student = classifier.student
    if classifier.method.learner.prompts_images:
        return encoded(student, dataset, examples, classifier.encode)
    images = SourceImages.recorded_in(workdir / "images", dataset.root)
    return tower_features([student], images, examples, workdir / "features")[0]

"""Which images, with which labels, a method trains on."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fdbpl_jax.clip.model import Clip, logit_scale, text_features
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.data.splits import few_shot, subset
from fdbpl_jax.data.types import Dataset, Example, written_texts
from fdbpl_jax.evaluation.features import tower_features
from fdbpl_jax.methods.table import Images


class Selection(NamedTuple):
    """What determines the training images."""

    images: Images
    classes: str  # a `subset` of the data set's
    shots: int  # labelled or chosen images per class
    seed: int  # of the draw of labelled ones


def source_images(root: Path, workdir: Path) -> SourceImages:
    """The images below a root, with what the workdir has on record of them."""
    return SourceImages.recorded_in(workdir / "images", root)


def training_set(
    dataset: Dataset, selection: Selection, student: Clip, workdir: Path
) -> Dataset:
    """The data set with the classes and training images of a selection alone.

    The student makes UPL's choice, based on features that are kept in the workdir.
    """
    if selection.images is Images.UNLABELLED:
        return subset(dataset, selection.classes)
    if selection.images is Images.PSEUDO:
        part = subset(dataset, selection.classes)
        return _pseudo_labelled(student, part, selection.shots, workdir)
    drawn = few_shot(dataset, selection.shots, selection.seed)
    return subset(drawn, selection.classes)


def _pseudo_labelled(
    student: Clip, dataset: Dataset, shots: int, workdir: Path
) -> Dataset:
    """Of all training images the `shots` that the student is surest of, per class.

    UPL's choice (Huang et al., 2022): by the zero-shot probability of the class, with
    the data set's own template. An image can be taken for several classes.
    """
    images = source_images(dataset.root, workdir)
    cache = workdir / "features"
    (features,) = tower_features([student], images, dataset.train, cache)
    texts = written_texts(dataset.template, dataset.class_names)
    text = text_features(student, texts)
    logits = logit_scale(student) * features @ np.asarray(text).T
    score = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    best = np.argsort(-score, axis=0, kind="stable")[:shots]  # [shots C]
    train = tuple(
        Example(dataset.train[row].path, label)
        for label, rows in enumerate(best.T)
        for row in rows
    )
    return dataclasses.replace(dataset, train=train)

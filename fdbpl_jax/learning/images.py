"""The images of `learn`: what is trained on, and what the result is judged by."""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Float, Int
from scipy.special import softmax

from fdbpl_jax.clip.model import Clip, logit_scale, text_features
from fdbpl_jax.clip.tokenizer import refuse_same_tokens
from fdbpl_jax.data.contents import without_broken
from fdbpl_jax.data.open_dataset import open_dataset
from fdbpl_jax.data.own import open_own
from fdbpl_jax.data.splits import TEMPLATE, few_shot, hold_out, refuse_empty
from fdbpl_jax.data.types import Dataset, Example, first_few, written_texts
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.accuracy import cosines
from fdbpl_jax.evaluation.features import tower_features
from fdbpl_jax.experiments.protocols import refuse_few_classes
from fdbpl_jax.experiments.training_sets import source_images
from fdbpl_jax.learners.learner import Models
from fdbpl_jax.learning.options import LearnOptions, workdir_of
from fdbpl_jax.shapes.world import TASKS

_SURE = 0.5  # probability from which the teacher is sure of a class


class LearnImages(NamedTuple):
    """Images to learn from; those of `dataset.val` judge what is learned."""

    dataset: Dataset
    has_labels: bool  # of val: else they are what the teacher says of `train`

    @property
    def everything(self) -> Dataset:
        """All images for training, those for validation too."""
        if not self.has_labels:
            return self.dataset
        train = (*self.dataset.train, *self.dataset.val)
        return dataclasses.replace(self.dataset, train=train, val=())


def refuse_unnamed_models(data: str, options: LearnOptions) -> None:
    """Refuse own images for the embedded models, which know embedded data alone."""
    if data not in TASKS and not (options.student and options.teacher):
        raise UserError(
            "own images need a CLIP that is prompted and a larger one that teaches it",
            "Set --student and --teacher to their directories or hub ids, such as "
            "openai/clip-vit-base-patch32 and openai/clip-vit-large-patch14.",
        )


def learn_images(data: str, options: LearnOptions, models: Models) -> LearnImages:
    """Open the data, and put images aside to judge by; see `LearnImages`.

    Args:
      data: the name of an embedded data set, or own data as of `open_own`.

    Raises:
      UserError: something is wrong with the data, or a model cannot tell two classes
        apart.
    """
    dataset = _open(data, options)
    for clip in models:
        refuse_same_tokens(clip.tokenizer, dataset.class_names, dataset.name)
    refuse_few_classes("few_shot", dataset)
    refuse_empty(dataset)
    labelled = any(example.is_labelled for example in dataset.train)
    dataset = hold_out(dataset, options.seed)
    if options.shots:
        drawn = few_shot(dataset, options.shots, options.seed)
        dataset = dataclasses.replace(drawn, val=dataset.val)
    if dataset.val:
        return LearnImages(dataset, has_labels=True)
    if labelled:
        logging.warning(
            "%s: no class has two labelled images, one of them to judge by: the labels "
            "are not used",
            dataset.name,
        )
    return LearnImages(_as_the_teacher_says(dataset, models.teacher, options), False)


def _open(data: str, options: LearnOptions) -> Dataset:
    workdir = workdir_of(options)
    if data in TASKS:
        if options.classes or options.template:
            raise UserError(
                f"'{data}' is embedded data, with names and a prompt of its own",
                "Leave --classes and --template out.",
            )
        dataset = open_dataset(data, "", workdir / "shapes", "")
    else:
        dataset = open_own(data, options.classes, options.template or TEMPLATE)
    if options.skip_broken_images:
        dataset = without_broken(dataset, workdir / "images")
    return dataset


def _as_the_teacher_says(
    dataset: Dataset, teacher: Clip, options: LearnOptions
) -> Dataset:
    """The data set with its training images for validation, too, by the teacher."""
    probabilities = _teacher_probabilities(dataset, teacher, options)
    if unsure := list(_names_without_image(dataset, probabilities)):
        logging.warning(
            "%s: the teacher is sure of no image of %d classes: %s. What is learned of "
            "these is hardly more than their names",
            *(dataset.name, len(unsure), first_few(unsure)),
        )
    labels: Int[np.ndarray, " N"] = probabilities.argmax(axis=1)
    val = (
        Example(example.path, int(label))
        for example, label in zip(dataset.train, labels, strict=True)
    )
    return dataclasses.replace(dataset, val=tuple(val))


def _teacher_probabilities(
    dataset: Dataset, teacher: Clip, options: LearnOptions
) -> Float[np.ndarray, "N C"]:
    """The teacher's, of the whole training images, by hand-written text."""
    workdir = workdir_of(options)
    images = source_images(dataset.root, workdir)
    cache = workdir / "features"
    (features,) = tower_features([teacher], images, dataset.train, cache)
    texts = written_texts(dataset.template, dataset.class_names)
    text = text_features(teacher, texts)
    return softmax(logit_scale(teacher) * cosines(features, text), axis=1)


def _names_without_image(
    dataset: Dataset, probabilities: Float[np.ndarray, "N C"]
) -> Iterator[str]:
    for name, most in zip(dataset.class_names, probabilities.max(axis=0), strict=True):
        if most < _SURE:
            yield name

"""Predictions on test images: of trained prompts and of hand-written text."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from fdbpl_jax.clip.model import Clip, image_features, text_features
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.data.types import written_texts
from fdbpl_jax.evaluation.accuracy import check_features, nearest_classes
from fdbpl_jax.evaluation.features import Encode, encoded
from fdbpl_jax.evaluation.test_set import HeldOut
from fdbpl_jax.learners.learner import (
    Classes,
    Learner,
    Models,
    Prompt,
    Student,
    Trained,
)
from fdbpl_jax.losses.divergence import products

_TOGETHER = 16  # images whose own texts are encoded in one call


def predictions(
    models: Models,
    learner: Learner,
    prompt: PromptConfig,
    trained: Trained,
    held: HeldOut,
) -> Int[np.ndarray, " N"]:
    """The class of each image: the nearest one under the prompts.

    Raises:
      UserError: as `nearest_classes`.
    """
    names, template = held.dataset.class_names, held.dataset.template
    classes = learner.classes(models, prompt, template, names)
    features = held.features
    if learner.prompts_images:
        encode = image_encoder(models, learner, trained)
        features = encoded(models.student, held.dataset, held.examples, encode)
    if learner.text_by_image:
        rows = cosines_by_image(models, learner, classes, trained.prompt, features)
        return np.concatenate([some.argmax(axis=1) for some in rows])
    text = class_text(models, learner, classes, trained.prompt)
    return nearest_classes(features, text)


def written_predictions(
    clip: Clip, template: str, held: HeldOut
) -> Int[np.ndarray, " N"]:
    """The class of each image by the texts of a template; features are the clip's own.

    Raises:
      UserError: as `nearest_classes`.
    """
    text = text_features(clip, written_texts(template, held.dataset.class_names))
    return nearest_classes(held.features, text)


def cosines_by_image(
    models: Models,
    learner: Learner,
    classes: Classes,
    prompt: Prompt,
    features: Float[np.ndarray, "N D"],
) -> Iterator[Float[np.ndarray, "b C"]]:
    """Cosines of images and classes whose text depends on the image, some at a time.

    Raises:
      UserError: there are no images, or a feature is not finite.
    """
    check_features(features)
    tower, student = models.student.params["text"], models.static
    for first in range(0, len(features), _TOGETHER):
        some = features[first : first + _TOGETHER]
        filled = np.resize(some, (_TOGETHER, some.shape[1]))  # one shape, one program
        rows = _cosines(learner, student, tower, classes, prompt, filled)
        yield np.asarray(rows)[: len(some)]


def class_text(
    models: Models, learner: Learner, classes: Classes, prompt: Prompt
) -> Float[Array, "C D"]:
    """L2-normalised class features under a prompt that is the same for all images."""
    tower = models.student.params["text"]
    return _text(learner, models.static, tower, classes, prompt)


def image_encoder(models: Models, learner: Learner, trained: Trained) -> Encode:
    """Pixels to L2-normalised image features, under image prompts if there are any."""
    if not learner.prompts_images:
        return functools.partial(image_features, models.student)
    vision = models.student.params["vision"]
    return functools.partial(_image, learner, models.static, vision, trained)


@functools.partial(jax.jit, static_argnames=("learner", "student"))
def _image(
    learner: Learner,
    student: Student,
    vision: dict[str, Any],
    trained: Trained,
    pixels: UInt8[Array, "B S S 3"],
) -> Float[Array, "B D"]:
    features, _ = learner.image_features(student, vision, trained, pixels, False)
    return features


@functools.partial(jax.jit, static_argnames=("learner", "student"))
def _text(
    learner: Learner,
    student: Student,
    text: dict[str, Any],
    classes: Classes,
    prompt: Prompt,
) -> Float[Array, "C D"]:
    return learner.text_features(student, text, classes, prompt, None)


@functools.partial(jax.jit, static_argnames=("learner", "student"))
def _cosines(
    learner: Learner,
    student: Student,
    text: dict[str, Any],
    classes: Classes,
    prompt: Prompt,
    image: Float[Array, "B D"],
) -> Float[Array, "B C"]:
    # As `accuracy` multiplies, and here the texts too depend on the image's feature.
    with jax.default_matmul_precision("highest"):
        features = learner.text_features(student, text, classes, prompt, image)
        return products(image, features)

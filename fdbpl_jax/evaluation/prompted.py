"""Predictions on test images: of trained prompts and of hand-written text."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from fdbpl_jax.clip.model import Clip, image_features, text_features
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.data.types import prompt_name
from fdbpl_jax.evaluation.accuracy import cosines, nearest_by_image, nearest_classes
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
        tower, student = models.student.params["text"], models.static
        predict = functools.partial(
            _predict, learner, student, tower, classes, trained.prompt
        )
        return nearest_by_image(features, predict, _TOGETHER)
    text = class_text(models, learner, classes, trained.prompt)
    return nearest_classes(features, text)


def written_predictions(
    clip: Clip, template: str, held: HeldOut
) -> Int[np.ndarray, " N"]:
    """The class of each image by the texts of a template; features are the clip's own.

    Raises:
      UserError: as `nearest_classes`.
    """
    names = [prompt_name(name) for name in held.dataset.class_names]
    text = text_features(clip, [template.format(name) for name in names])
    return nearest_classes(held.features, text)


def class_cosines(
    models: Models,
    learner: Learner,
    classes: Classes,
    trained: Trained,
    features: Float[np.ndarray, "N D"],
) -> Float[np.ndarray, "N C"]:
    """How near each image is to each class: what `predictions` take the highest of.

    Raises:
      UserError: a feature is not finite.
    """
    if not learner.text_by_image:
        text = class_text(models, learner, classes, trained.prompt)
        return cosines(features, text)
    tower, student = models.student.params["text"], models.static
    rows = []
    for first in range(0, len(features), _TOGETHER):
        some = features[first : first + _TOGETHER]
        filled = np.resize(some, (_TOGETHER, some.shape[1]))
        row = _cosines(learner, student, tower, classes, trained.prompt, filled)
        rows.append(np.asarray(row)[: len(some)])
    return np.concatenate(rows)


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
def _predict(
    learner: Learner,
    student: Student,
    text: dict[str, Any],
    classes: Classes,
    prompt: Prompt,
    image: Float[Array, "B D"],
) -> Int[Array, " B"]:
    cosines = _cosines(learner, student, text, classes, prompt, image)
    return jnp.argmax(cosines, axis=-1)


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

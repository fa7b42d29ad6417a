"""Accuracy of trained prompts on test images, whichever learner they are of."""

import functools
from typing import Any

import jax
import numpy as np

from fdbpl_jax import evaluate
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.features import encoded
from fdbpl_jax.methods.method import METHODS
from fdbpl_jax.prompts import cocoop
from fdbpl_jax.prompts.learner import image_features, text_features
from fdbpl_jax.protocols.assemble import Half, Stage, classes_of, student_of

_TOGETHER = 16  # images whose own texts are encoded in one call

_image = jax.jit(image_features, static_argnames=("learner", "student", "training"))
_text = jax.jit(text_features, static_argnames=("learner", "student"))
_predict = jax.jit(cocoop.predict, static_argnames="text")


def accuracy(
    stage: Stage, method: str, prompt: PromptConfig, trained: dict[str, Any], half: Half
) -> float:
    """Percent of the half's images whose nearest class is their own.

    Args:
      stage: the models.
      method: one of `METHODS`.
      prompt: its settings.
      trained: the positive prompt, with PromptKD's running mean and variance.
      half: the images and their classes.
    """
    learner, student = METHODS[method].learner, student_of(stage.student)
    classes = classes_of(stage, method, prompt, half.dataset, half.dataset.class_names)
    tower, features = stage.student.params["text"], half.features
    if METHODS[method].prompts_images:
        features = _prompted(stage, learner, trained, half)
    if learner == "cocoop":
        predict = functools.partial(
            _predict, student.config.text, tower, classes.layout, trained
        )
        return evaluate.accuracy_by_image(features, half.labels, predict, _TOGETHER)
    text = _text(learner, student, tower, classes, trained, None)
    return evaluate.accuracy(features, half.labels, text)


def _prompted(
    stage: Stage, learner: str, trained: dict[str, Any], half: Half
) -> np.ndarray:
    """The half's image features under the prompts."""
    student = student_of(stage.student)
    vision, running = stage.student.params["vision"], trained.get("running", {})

    def encode(pixels: np.ndarray) -> jax.Array:
        return _image(learner, student, vision, trained, running, pixels, False)[0]

    return encoded(stage.student, half.dataset, half.examples, encode)

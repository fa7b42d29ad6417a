"""Accuracy of trained prompts on test images, whichever learner they are of."""

import functools
from typing import Any

import jax
import numpy as np

from fdbpl_jax.config import PromptConfig
from fdbpl_jax.evaluation import accuracy as evaluate
from fdbpl_jax.evaluation.features import encoded
from fdbpl_jax.experiments.assemble import Stage, classes_of, student_of
from fdbpl_jax.experiments.test_sets import HeldOut
from fdbpl_jax.learners import cocoop
from fdbpl_jax.learners.learner import image_features, text_features
from fdbpl_jax.methods.method import METHODS

_TOGETHER = 16  # images whose own texts are encoded in one call

_image = jax.jit(image_features, static_argnames=("learner", "student", "training"))
_text = jax.jit(text_features, static_argnames=("learner", "student"))
_predict = jax.jit(cocoop.predict, static_argnames="text")


def accuracy(
    stage: Stage,
    method: str,
    prompt: PromptConfig,
    trained: dict[str, Any],
    held: HeldOut,
) -> float:
    """Percent of the images whose nearest class is their own.

    Args:
      stage: the models.
      method: one of `METHODS`.
      prompt: its settings.
      trained: the positive prompt, with PromptKD's running mean and variance.
      held: the images and their classes.
    """
    learner, student = METHODS[method].learner, student_of(stage.student)
    classes = classes_of(stage, method, prompt, held.dataset, held.dataset.class_names)
    tower, features = stage.student.params["text"], held.features
    if METHODS[method].prompts_images:
        features = _prompted(stage, learner, trained, held)
    if learner == "cocoop":
        predict = functools.partial(
            _predict, student.config.text, tower, classes.layout, trained
        )
        return evaluate.accuracy_by_image(features, held.labels, predict, _TOGETHER)
    text = _text(learner, student, tower, classes, trained, None)
    return evaluate.accuracy(features, held.labels, text)


def _prompted(
    stage: Stage, learner: str, trained: dict[str, Any], held: HeldOut
) -> np.ndarray:
    """The image features under the prompts."""
    student = student_of(stage.student)
    vision, running = stage.student.params["vision"], trained.get("running", {})

    def encode(pixels: np.ndarray) -> jax.Array:
        return _image(learner, student, vision, trained, running, pixels, False)[0]

    return encoded(stage.student, held.dataset, held.examples, encode)

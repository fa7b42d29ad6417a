"""PromptKD's learner: image prompts, and a projector to the teacher's features.

Classes are the teacher's text features (Li et al., 2024). The projector is a dense
layer, a batch norm, a ReLU and a dense layer. In training the batch norm uses the
statistics of the batch; in evaluation the running ones, which are not learned.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from fdbpl_jax.clip.model import text_features, unit
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.data.types import written_texts
from fdbpl_jax.learners.learner import (
    Classes,
    Keys,
    Learner,
    Linear,
    Models,
    Start,
    Student,
    Trained,
    fixed_text,
    init_linear,
    init_vision,
    prompted_features,
)

_EPSILON, _MOMENTUM = 1e-5, 0.1  # of PyTorch's batch norm


class Norm(NamedTuple):
    """What a batch norm learns."""

    scale: jax.Array  # [H]
    bias: jax.Array  # [H]


class Statistics(NamedTuple):
    """Mean and variance of a batch, or their running averages."""

    mean: jax.Array  # [H]
    variance: jax.Array  # [H]


class Projector(NamedTuple):
    """From the student's joint width D to the teacher's H."""

    first: Linear  # [D H]
    norm: Norm
    second: Linear  # [H H]


class PromptkdPrompt(NamedTuple):
    """Image tokens by layer, and the projector."""

    vision: jax.Array  # [J V w]
    projector: Projector


def _init(keys: Keys, start: Start) -> PromptkdPrompt:
    student, teacher = start.config.projection, start.teacher_width
    projector = init_projector(keys.other, student, teacher)
    return PromptkdPrompt(init_vision(keys, start), projector)


def init_projector(key: Array, width: int, teacher_width: int) -> Projector:
    """Initial projector from the student's joint width to the teacher's."""
    first, second = jax.random.split(key)
    return Projector(
        init_linear(first, width, teacher_width),
        Norm(jnp.ones(teacher_width), jnp.zeros(teacher_width)),
        init_linear(second, teacher_width, teacher_width),
    )


def init_running(teacher_width: int) -> Statistics:
    """Mean and variance before the first batch."""
    return Statistics(jnp.zeros(teacher_width), jnp.ones(teacher_width))


def project(
    projector: Projector, running: Statistics, feature: Float[Array, "B D"]
) -> Float[Array, "B H"]:
    """The student's features in the teacher's space, by the running statistics."""
    return _after_first(projector, projector.first(feature), running)


def project_batch(
    projector: Projector, running: Statistics, feature: Float[Array, "B D"]
) -> tuple[Float[Array, "B H"], Statistics]:
    """The same by the batch's own statistics, and the running ones after it.

    As in PyTorch, the running variance takes in the unbiased one.
    """
    hidden = projector.first(feature)
    batch = Statistics(hidden.mean(0), hidden.var(0))
    unbiased = batch.variance * len(hidden) / max(len(hidden) - 1, 1)
    after = jax.tree.map(
        lambda old, new: (1 - _MOMENTUM) * old + _MOMENTUM * new,
        running,
        batch._replace(variance=unbiased),
    )
    return _after_first(projector, hidden, batch), jax.lax.stop_gradient(after)


def _after_first(
    projector: Projector, hidden: Float[Array, "B H"], statistics: Statistics
) -> Float[Array, "B H"]:
    norm = projector.norm
    scale = norm.scale * jax.lax.rsqrt(statistics.variance + _EPSILON)
    normed = (hidden - statistics.mean[None]) * scale[None] + norm.bias[None]
    return projector.second(jax.nn.relu(normed))


def _classes(
    models: Models, prompt: PromptConfig, template: str, names: Sequence[str]
) -> Classes:
    """Classes by the teacher's features of the data set's template."""
    texts = written_texts(template, names)
    return Classes(None, text_features(models.teacher, texts))


def _image_features(
    student: Student,
    vision: dict[str, Any],
    trained: Trained,
    pixels: UInt8[Array, "B S S 3"],
    training: bool,
) -> tuple[Float[Array, "B H"], Statistics]:
    prompt, running = trained
    features = prompted_features(student, vision, prompt.vision, pixels)
    if training:
        features, running = project_batch(prompt.projector, running, features)
    else:
        features = project(prompt.projector, running, features)
    return unit(features), running


PROMPTKD = Learner(
    name="promptkd",
    prompt=PromptkdPrompt,
    settings=frozenset({"image_tokens", "image_depth"}),
    init=_init,
    classes=_classes,
    text_features=fixed_text,
    reads_teacher_text=True,
    image_features=_image_features,
    init_running=init_running,
)

"""Learners side by side: what each learns, and how it enters the two frozen towers.

| learner  | text tower          | image tower             | also                     |
|----------|---------------------|-------------------------|--------------------------|
| coop     | context             |                         |                          |
| cocoop   | context, by image   |                         | a network: image → shift |
| vpt      | (words, fixed)      | tokens, by layer        |                          |
| maple    | context, by layer   | made of the context     | the coupling             |
| ivlp     | context, by layer   | tokens, by layer        |                          |
| promptkd | (the teacher's)     | tokens, by layer        | a projector              |
"""

import dataclasses
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float, UInt8

from fdbpl_jax.clip.config import ClipConfig
from fdbpl_jax.clip.image import ImageSettings, normalise
from fdbpl_jax.clip.layout import PromptLayout
from fdbpl_jax.clip.model import unit
from fdbpl_jax.clip.vision import encode_image
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.learners import cocoop, coop, maple, promptkd


@dataclasses.dataclass(frozen=True)
class Student:
    """The towers that prompts enter, as far as a program is compiled for them."""

    config: ClipConfig
    image: ImageSettings


class Classes(NamedTuple):
    """The classes that a learner tells apart.

    layout: of their prompts. text [C D]: their features, where they are not learned.
    """

    layout: PromptLayout | None
    text: Array | None


def depths(config: ClipConfig, learner: str, prompt: PromptConfig) -> tuple[int, int]:
    """Prompted layers of the text and of the image tower: no more than they have."""
    text = min(prompt.text_depth, config.text.tower.layers)
    image = min(prompt.image_depth, config.vision.tower.layers)
    if learner == "maple":
        text = image = min(text, config.vision.tower.layers)
    return text, image


def init_prompt(
    key: Array,
    learner: str,
    config: ClipConfig,
    params: dict[str, Any],
    tokenizer: Any,
    prompt: PromptConfig,
    classes: int,
    teacher: int,
) -> dict[str, Any]:
    """What a learner starts from, float32.

    Args:
      key: PRNG key; words that are given, no other start is taken from it.
      learner: its name.
      config, params, tokenizer: the student's.
      prompt: its settings.
      classes: C, for class-specific contexts.
      teacher: the teacher's joint width, for PromptKD.

    Returns:
      A tree of named arrays, all of which are learned.
    """
    own, deep, image_key, more = jax.random.split(key, 4)
    text, image = config.text.tower.width, config.vision.tower.width
    text_depth, image_depth = depths(config, learner, prompt)
    made: dict[str, Any] = {}
    if learner not in ("vpt", "promptkd"):
        made["context"] = coop.init_context(
            own, params["text"], tokenizer, prompt, classes
        )
    if learner in ("maple", "ivlp") and text_depth > 1:
        shape = (text_depth - 1, prompt.context_length, text)
        made["deep"] = coop.RANDOM_STD * jax.random.normal(deep, shape)
    if learner in ("vpt", "ivlp", "promptkd"):
        shape = (image_depth, prompt.image_tokens, image)
        made["vision"] = coop.RANDOM_STD * jax.random.normal(image_key, shape)
    if learner == "cocoop":
        made |= cocoop.init_network(more, config.projection, text)
    if learner == "maple":
        made["couple"] = maple.init_couple(more, text_depth, text, image)
    if learner == "promptkd":
        made["projector"] = promptkd.init_projector(more, config.projection, teacher)
    return made


def frozen_features(
    student: Student, vision: dict[str, Any], pixels: UInt8[Array, "B S S 3"]
) -> Float[Array, "B D"]:
    """L2-normalised features of images, pixels from 0 to 255, without prompts."""
    seen = normalise(student.image, pixels)
    return unit(encode_image(student.config.vision, vision, seen))


def image_features(
    learner: str,
    student: Student,
    vision: dict[str, Any],
    prompt: dict[str, Any],
    running: dict[str, Any],
    pixels: UInt8[Array, "B S S 3"],
    training: bool,
) -> tuple[Float[Array, "B D"], dict[str, Any]]:
    """L2-normalised features of images under a learner's prompts.

    Args:
      learner: one that prompts the image tower.
      student: the towers.
      vision: the frozen image tower.
      prompt: what is learned.
      running: PromptKD's running mean and variance; empty for the others.
      pixels: as they are in the image, 0 to 255.
      training: whether PromptKD's batch norm goes by the batch.

    Returns:
      The features, and `running` after this batch.
    """
    tokens = maple.image_tokens(prompt) if learner == "maple" else prompt["vision"]
    seen = normalise(student.image, pixels)
    found = encode_image(student.config.vision, vision, seen, tokens)
    if learner == "promptkd" and training:
        found, running = promptkd.project_batch(prompt["projector"], running, found)
    elif learner == "promptkd":
        found = promptkd.project(prompt["projector"], running, found)
    return unit(found), running


def text_features(
    learner: str,
    student: Student,
    text: dict[str, Any],
    classes: Classes,
    prompt: dict[str, Any],
    image: Float[Array, "B D"] | None,
) -> Float[Array, "C D"] | Float[Array, "B C D"]:
    """L2-normalised features of the classes under a learner's prompts.

    Args:
      learner: its name.
      student: the towers.
      text: the frozen text tower.
      classes: what they are.
      prompt: what is learned.
      image: features of images; only CoCoOp, whose text depends on them, looks at them.
    """
    if classes.text is not None:
        return classes.text
    tower = student.config.text
    if learner == "cocoop":
        return cocoop.text_features(tower, text, classes.layout, prompt, image)
    return coop.text_features(
        tower, text, classes.layout, prompt["context"], prompt.get("deep")
    )

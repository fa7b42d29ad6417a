"""The record that describes a learner, and what all learners are made of.

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
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from fdbpl_jax.clip.config import ClipConfig
from fdbpl_jax.clip.image import ImageSettings, normalise
from fdbpl_jax.clip.model import Clip, unit
from fdbpl_jax.clip.tokenizer import Tokenizer
from fdbpl_jax.clip.vision import encode_image
from fdbpl_jax.config import PromptConfig

RANDOM_STD = 0.02  # CoOp's, of randomly initialised prompts

# What a learner learns: a NamedTuple of its own, whose leaves are all learned.
Prompt = Any


@dataclasses.dataclass(frozen=True)
class Student:
    """The towers that prompts enter, as far as a program is compiled for them."""

    config: ClipConfig
    image: ImageSettings


class Models(NamedTuple):
    """The frozen models of a run."""

    student: Clip
    teacher: Clip

    @property
    def static(self) -> Student:
        """What programs on the student are compiled for."""
        return Student(self.student.config, self.student.image)


class Classes(NamedTuple):
    """The classes that a learner distinguishes."""

    layout: Any  # `PromptLayout` of their prompts; None: no text is learned
    text: Any  # [C D], their features where they are not learned; else None


class Prompts(NamedTuple):
    """The learned prompts of a method."""

    positive: Prompt
    negative: Prompt = None  # of losses that learn one


class Trained(NamedTuple):
    """A positive prompt as it is evaluated."""

    prompt: Prompt
    running: Any = None  # running statistics of learners that have them


class Start(NamedTuple):
    """What initial prompts depend on."""

    config: ClipConfig  # the student's
    params: Mapping[str, Any]  # the student's
    tokenizer: Tokenizer  # the student's
    prompt: PromptConfig
    classes: int  # C, for class-specific contexts
    teacher_width: int  # the teacher's joint width, for PromptKD

    @property
    def text_depth(self) -> int:
        """Prompted layers of the text tower: no more than it has."""
        return min(self.prompt.text_depth, self.config.text.tower.layers)

    @property
    def image_depth(self) -> int:
        """Prompted layers of the image tower: no more than it has."""
        return min(self.prompt.image_depth, self.config.vision.tower.layers)


class Keys(NamedTuple):
    """PRNG keys of the parts of a prompt."""

    context: Array
    deep: Array
    vision: Array
    other: Array


@dataclasses.dataclass(frozen=True)
class Learner:
    """How learnable tensors enter the two frozen towers."""

    name: str
    prompt: type  # the NamedTuple that is learned
    settings: frozenset[str]  # fields of `PromptConfig` that shape it
    init: Callable[[Keys, Start], Prompt]
    # Models, settings, the data set's template and class names to `Classes`.
    classes: Callable[[Models, PromptConfig, str, Sequence[str]], Classes]
    # Student, its text tower, classes, prompt and image features [B D] (or None) to
    # L2-normalised class features: [C D], or [B C D] where `text_by_image`.
    text_features: Callable[..., Array]
    text_by_image: bool = False
    # Student, its image tower, trained prompt, pixels and whether it is training to
    # image features and running statistics; None: the image tower has no prompts.
    image_features: Callable[..., tuple[Array, Any]] | None = None
    reads_teacher_text: bool = False  # `classes` asks the teacher for their features
    # Running statistics before the first batch, by the teacher's joint width.
    init_running: Callable[[int], Any] | None = None

    @property
    def prompts_images(self) -> bool:
        """Prompts enter the image tower, which therefore runs at every step."""
        return self.image_features is not None

    @property
    def context_only(self) -> bool:
        """A text context, the same for all images, is all that is learned."""
        depends = self.prompts_images or self.text_by_image
        return not depends and "context_length" in self.settings


def init_prompt(key: Array, learner: Learner, start: Start) -> Prompt:
    """Initial prompt of a learner, float32."""
    return learner.init(Keys(*jax.random.split(key, 4)), start)


def init_vision(keys: Keys, start: Start) -> Float[Array, "J V w"]:
    """Random tokens for each prompted layer of the image tower."""
    width = start.config.vision.tower.width
    shape = (start.image_depth, start.prompt.image_tokens, width)
    return RANDOM_STD * jax.random.normal(keys.vision, shape)


def init_deep(keys: Keys, start: Start, depth: int) -> Float[Array, "J L W"] | None:
    """Random contexts of the prompted text layers after the first, if there are any."""
    if depth == 1:
        return None
    width = start.config.text.tower.width
    shape = (depth - 1, start.prompt.context_length, width)
    return RANDOM_STD * jax.random.normal(keys.deep, shape)


def frozen_features(
    student: Student, vision: dict[str, Any], pixels: UInt8[Array, "B S S 3"]
) -> Float[Array, "B D"]:
    """L2-normalised features of images without prompts, pixels from 0 to 255."""
    normalised = normalise(student.image, pixels)
    return unit(encode_image(student.config.vision, vision, normalised))


def prompted_features(
    student: Student,
    vision: dict[str, Any],
    tokens: Float[Array, "J V w"],
    pixels: UInt8[Array, "B S S 3"],
) -> Float[Array, "B D"]:
    """Features of images under tokens for each prompted layer, not normalised."""
    normalised = normalise(student.image, pixels)
    return encode_image(student.config.vision, vision, normalised, tokens)


def with_tokens(tokens_of: Callable[[Prompt], Array]) -> Callable[..., Any]:
    """`Learner.image_features` under tokens [J V w] made of a prompt, normalised."""

    def image_features(
        student: Student,
        vision: dict[str, Any],
        trained: Trained,
        pixels: UInt8[Array, "B S S 3"],
        training: bool,
    ) -> tuple[Float[Array, "B D"], None]:
        tokens = tokens_of(trained.prompt)
        return unit(prompted_features(student, vision, tokens, pixels)), None

    return image_features


def fixed_text(
    student: Student,
    text: dict[str, Any],
    classes: Classes,
    prompt: Prompt,
    image: Float[Array, "B D"] | None,
) -> Float[Array, "C D"]:
    """The class features of learners that learn no text."""
    return classes.text


def tree_of(prompt: Any) -> Any:
    """A prompt as nested dicts of arrays, the form in which it is stored."""
    if not hasattr(prompt, "_asdict"):
        return prompt
    parts = prompt._asdict().items()
    return {name: tree_of(part) for name, part in parts if part is not None}


def from_tree(kind: type, tree: Mapping[str, Any]) -> Any:
    """The record that `tree_of` stored; optional parts may be missing.

    Raises:
      KeyError: a part is missing that is not optional, or one is not known.
    """
    hints = typing.get_type_hints(kind)
    if unknown := tree.keys() - hints.keys():
        raise KeyError(f"unknown part {sorted(unknown)[0]!r}")
    optional = getattr(kind, "_field_defaults", {})
    parts = {}
    for name, hint in hints.items():
        if name in tree or name not in optional:
            part = tree[name]
            parts[name] = from_tree(hint, part) if isinstance(part, dict) else part
    return kind(**parts)


class Linear(NamedTuple):
    """A dense layer."""

    kernel: jax.Array  # [in out]
    bias: jax.Array  # [out]

    def __call__(self, x: Float[Array, "B in"]) -> Float[Array, "B out"]:
        """`x @ kernel + bias`."""
        return x @ self.kernel + self.bias[None]


def init_linear(key: Array, wide: int, out: int) -> Linear:
    """Float32 weights as `torch.nn.Linear` starts: uniform within ±1/√wide."""
    bound = wide**-0.5
    kernel, bias = jax.random.split(key)
    return Linear(
        jax.random.uniform(kernel, (wide, out), jnp.float32, -bound, bound),
        jax.random.uniform(bias, (out,), jnp.float32, -bound, bound),
    )

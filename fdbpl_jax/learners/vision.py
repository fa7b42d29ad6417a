"""Learners with tokens of their own in the image tower: VPT and IVLP.

VPT (Jia et al., 2022) as KDPL trains it; IVLP, independent prompts in both towers, is
what PromptSRC (Khattak et al., 2023) learns.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from fdbpl_jax.clip.model import text_features
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.data.types import prompt_name
from fdbpl_jax.learners.coop import context_features, init_context, prompted_classes
from fdbpl_jax.learners.learner import (
    Classes,
    Keys,
    Learner,
    Models,
    Start,
    fixed_text,
    init_deep,
    init_vision,
    with_tokens,
)


class VptPrompt(NamedTuple):
    """Image tokens by layer."""

    vision: jax.Array  # [J V w]


class IvlpPrompt(NamedTuple):
    """Contexts and image tokens by layer."""

    context: jax.Array  # [L W]
    vision: jax.Array  # [J V w]
    deep: jax.Array | None = None  # [J-1 L W], of the text layers after the first


def _init_vpt(keys: Keys, start: Start) -> VptPrompt:
    return VptPrompt(init_vision(keys, start))


def _init_ivlp(keys: Keys, start: Start) -> IvlpPrompt:
    context, deep = init_context(keys, start), init_deep(keys, start, start.text_depth)
    return IvlpPrompt(context, init_vision(keys, start), deep)


def _worded_classes(
    models: Models, prompt: PromptConfig, template: str, names: Sequence[str]
) -> Classes:
    """Classes by the student's features of the fixed words of the prompt."""
    texts = [f"{prompt.init} {prompt_name(name)}.".strip() for name in names]
    return Classes(None, text_features(models.student, texts))


def _own_tokens(prompt: VptPrompt | IvlpPrompt) -> Float[Array, "J V w"]:
    return prompt.vision


VPT = Learner(
    name="vpt",
    prompt=VptPrompt,
    settings=frozenset({"image_tokens", "image_depth"}),
    init=_init_vpt,
    classes=_worded_classes,
    text_features=fixed_text,
    image_features=with_tokens(_own_tokens),
)
IVLP = Learner(
    name="ivlp",
    prompt=IvlpPrompt,
    settings=frozenset({"context_length", "text_depth", "image_tokens", "image_depth"}),
    init=_init_ivlp,
    classes=prompted_classes,
    text_features=context_features,
    image_features=with_tokens(_own_tokens),
)

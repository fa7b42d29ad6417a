"""MaPLe: image prompts made of the text prompts, by layer (Khattak et al., 2023).

In towers of unequal depth each is prompted as far as it goes, as published: the deepest
prompts are then those of the deeper tower alone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.learners.coop import context_features, init_context, prompted_classes
from fdbpl_jax.learners.learner import (
    Keys,
    Learner,
    Linear,
    Start,
    init_deep,
    init_linear,
    with_tokens,
)


class MaplePrompt(NamedTuple):
    """Contexts by layer, and what makes each layer's image tokens of them."""

    context: jax.Array  # [L W], of the first layer
    couple: Linear  # kernel [J W w], bias [J w]
    deep: jax.Array | None = None  # [J-1 L W], of the layers after the first


def _init(keys: Keys, start: Start) -> MaplePrompt:
    text, image = start.config.text.tower, start.config.vision.tower
    depth = min(start.prompt.text_depth, max(text.layers, image.layers))
    return MaplePrompt(
        init_context(keys, start),
        init_couple(keys.other, depth, text.width, image.width),
        init_deep(keys, start, depth),
    )


def init_couple(key: Array, depth: int, text: int, image: int) -> Linear:
    """A dense layer for each prompted layer; all but the first start alike."""
    first, other = (init_linear(k, text, image) for k in jax.random.split(key))
    layers = [first, *[other] * (depth - 1)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers)


def image_tokens(prompt: MaplePrompt) -> Float[Array, "J L w"]:
    """Image tokens for each prompted layer of the deeper tower."""
    texts = prompt.context[None]
    if prompt.deep is not None:
        texts = jnp.concatenate([texts, prompt.deep])
    kernel, bias = prompt.couple
    # Broadcasting a sum over layers and tokens: the layer's own kernel and bias.
    return jnp.einsum("jlw,jwv->jlv", texts, kernel) + bias[:, None]


MAPLE = Learner(
    name="maple",
    prompt=MaplePrompt,
    settings=frozenset({"context_length", "text_depth"}),
    init=_init,
    classes=prompted_classes,
    text_features=context_features,
    image_features=with_tokens(image_tokens),
)

"""CoCoOp: a context that a small network moves by the image (Zhou et al., 2022)."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.clip.config import TextConfig
from fdbpl_jax.clip.layout import PromptLayout
from fdbpl_jax.learners import coop
from fdbpl_jax.learners.linear import apply_linear, init_linear

_SHRINK = 16  # the network's hidden width is D / 16
_TOKENS = 8192  # encoded at once, all images together


def init_network(key: Array, joint: int, width: int) -> dict:
    """The network from image features `[D]` to a shift of the context `[W]`."""
    first, second = jax.random.split(key)
    hidden = max(1, joint // _SHRINK)
    return {
        "down": init_linear(first, joint, hidden),
        "up": init_linear(second, hidden, width),
    }


def text_features(
    text: TextConfig,
    params: dict,
    layout: PromptLayout,
    prompt: dict,
    image: Float[Array, "B D"],
) -> Float[Array, "B C D"]:
    """L2-normalised text features of all classes, for each image its own.

    An image's prefix is encoded once, so what each class costs is its suffix; images
    are taken a few at a time, so memory does not grow with the batch.
    """
    hidden = jax.nn.relu(apply_linear(prompt["down"], image))
    shift = apply_linear(prompt["up"], hidden)
    contexts = prompt["context"][None] + shift[:, None]
    encode = functools.partial(coop.text_features, text, params, layout)
    together = max(1, _TOKENS // _tokens(layout))
    if len(contexts) <= together:
        return jax.vmap(encode)(contexts)
    # Of the others nothing is kept for the backward pass.
    return jax.lax.map(jax.checkpoint(encode), contexts, batch_size=together)


def _tokens(layout: PromptLayout) -> int:
    # Of one chunk: the others of a layout come after each other anyway.
    own = sum(bucket.ids[0].size for bucket in layout.buckets)
    return len(layout.prefix_ids) + own


def predict(
    text: TextConfig,
    params: dict,
    layout: PromptLayout,
    prompt: dict,
    image: Float[Array, "B D"],
) -> Array:
    """The nearest class of each image, `[B]` int32."""
    features = text_features(text, params, layout, prompt, image)
    return jnp.argmax(jnp.einsum("bd,bcd->bc", image, features), axis=-1)

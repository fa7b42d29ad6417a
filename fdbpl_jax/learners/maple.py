"""MaPLe: image prompts made of the text prompts, layer by layer (Khattak et al., 2023).

What is learned: the "context" of the first layer, "deep" prompts of the layers after
it, and the linear "couple" that makes each layer's image tokens of its text tokens.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.learners.linear import init_linear


def init_couple(key: Array, depth: int, text: int, image: int) -> dict[str, Array]:
    """{"kernel": [J W w], "bias": [J w]}: all layers but the first start alike."""
    first, other = (init_linear(k, text, image) for k in jax.random.split(key))
    layers = [first, *[other] * (depth - 1)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers)


def image_tokens(prompt: dict) -> Float[Array, "J L w"]:
    """The image tower's tokens for each prompted layer."""
    texts = prompt["context"][None]
    if "deep" in prompt:
        texts = jnp.concatenate([texts, prompt["deep"]])
    couple = prompt["couple"]
    # Broadcasting a sum over layers and tokens: the layer's own kernel and bias.
    return jnp.einsum("jlw,jwv->jlv", texts, couple["kernel"]) + couple["bias"][:, None]

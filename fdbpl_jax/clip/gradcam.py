"""Grad-CAM on the image tower: the patches that a class's score depends on."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.clip.config import VisionConfig
from fdbpl_jax.clip.model import unit
from fdbpl_jax.clip.vision import LAST_TOKENS, VisionTower


def class_maps(
    config: VisionConfig,
    params: dict[str, Any],
    pixels: Float[Array, "B H W 3"],
    text: Float[Array, "B D"],
) -> Float[Array, "B G G"]:
    """Compute each patch's evidence for a class (Selvaraju et al., "Grad-CAM", 2017).

    The activations are the patch tokens before the last layer, the last ones that the
    class token's score depends on.

    Args:
      config, params: of the tower, float32.
      pixels: normalised, of the tower's size.
      text: per image the text feature of one class, L2-normalised; or any other
        direction, such as the difference of two.

    Returns:
      max(0, Σ_k α_k A_k) of each patch, G patches per side, where α_k is the mean over
      patches of the gradient of the cosine between image and text. Not normalised.
    """
    tower = VisionTower(config, params["to_joint"]["kernel"].shape[1])

    def score(offset: Array) -> tuple[Array, Array]:
        variables = {"params": params, "perturbations": {LAST_TOKENS: offset}}
        kept = ["intermediates"]
        features, state = tower.apply(variables, pixels, None, mutable=kept)
        (tokens,) = state["intermediates"][LAST_TOKENS]
        return jnp.sum(unit(features) * text), tokens

    side = config.image_size // config.patch_size
    shape = (pixels.shape[0], side**2 + 1, config.tower.width)
    gradient, tokens = jax.grad(score, has_aux=True)(jnp.zeros(shape))
    channel = jnp.mean(gradient[:, 1:], axis=1, keepdims=True)
    maps = jnp.sum(channel * tokens[:, 1:], axis=-1)
    return jnp.maximum(maps, 0.0).reshape(-1, side, side)

"""The image tower: a ViT with a class token, optionally with prompt tokens."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.clip.config import VisionConfig
from fdbpl_jax.clip.transformer import Block, layer_norm

LAST_TOKENS = "last_tokens"  # inputs of the last layer, for `gradcam.py`


class VisionTower(nn.Module):
    """Patches, class token, transformer, and the projection of the class token."""

    config: VisionConfig
    projection: int

    def setup(self) -> None:
        """Define the parameters."""
        config, width = self.config, self.config.tower.width
        patch = (config.patch_size, config.patch_size)
        positions = (config.image_size // config.patch_size) ** 2 + 1
        self.patch_embedding = nn.Conv(width, patch, patch, "VALID", use_bias=False)
        normal = nn.initializers.normal
        self.class_embedding = self.param(
            "class_embedding", normal(width**-0.5), (width,)
        )
        self.position_embedding = self.param(
            "position_embedding", normal(0.02), (positions, width)
        )
        self.pre_norm = layer_norm(config.tower)
        self.layers = [Block(config.tower) for _ in range(config.tower.layers)]
        self.post_norm = layer_norm(config.tower)
        self.to_joint = nn.Dense(self.projection, use_bias=False)

    def __call__(
        self,
        pixels: Float[Array, "B H W 3"],
        prompts: Float[Array, "J V w"] | Float[Array, "B J V w"] | None,
    ) -> Float[Array, "B D"]:
        """See `encode_image`."""
        patches = self.patch_embedding(pixels)
        batch, _, _, width = patches.shape
        first = jnp.broadcast_to(self.class_embedding, (batch, 1, width))
        x = jnp.concatenate([first, patches.reshape(batch, -1, width)], axis=1)
        x = x + self.position_embedding[None]
        length = x.shape[1]  # the prompts follow these tokens
        if prompts is not None:
            prompts = jnp.broadcast_to(prompts, (batch, *prompts.shape[-3:]))
            x = jnp.concatenate([x, prompts[:, 0]], axis=1)
        x = self.pre_norm(x)
        for i, layer in enumerate(self.layers):
            if prompts is not None and 0 < i < prompts.shape[1]:
                x = jnp.concatenate([x[:, :length], prompts[:, i]], axis=1)
            if layer is self.layers[-1]:
                # Neither does anything unless asked for by `apply`.
                self.sow("intermediates", LAST_TOKENS, x)
                x = self.perturb(LAST_TOKENS, x)
            x = layer(x, causal=False)
        return self.to_joint(self.post_norm(x[:, 0]))


def init_vision(config: VisionConfig, projection: int, key: Array) -> dict[str, Any]:
    """Draw random parameters of an image tower, float32, as a nested dict."""
    tower = VisionTower(config, projection)
    pixels = jnp.zeros((1, config.image_size, config.image_size, 3))
    return tower.init(key, pixels, None)["params"]


def encode_image(
    config: VisionConfig,
    params: dict[str, Any],
    pixels: Float[Array, "B H W 3"],
    prompts: Float[Array, "J V w"] | Float[Array, "B J V w"] | None = None,
) -> Float[Array, "B D"]:
    """Encode images in the joint embedding: features in float32, not normalised.

    The tower computes in the dtype of its parameters, whatever that of the pixels and
    prompts.

    Args:
      config, params: of the tower.
      pixels: normalised, of the tower's size.
      prompts: V prompt tokens for each of the first J layers, w wide, for all images
        or per image. The first set follows the patches from before `pre_norm` on, the
        others replace it at the input of layers 1 to J - 1: deep visual prompt tuning
        (arXiv:2203.12119), placed as in MaPLe (arXiv:2210.03117).
    """
    dtype = params["class_embedding"].dtype
    tower = VisionTower(config, params["to_joint"]["kernel"].shape[1])
    if prompts is not None:
        prompts = prompts.astype(dtype)
    features: Any = tower.apply({"params": params}, pixels.astype(dtype), prompts)
    return jax.lax.convert_element_type(features, jnp.float32)

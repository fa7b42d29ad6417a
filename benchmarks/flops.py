"""Floating-point operations of the towers, counted from their configuration.

Only matrix products are counted, two operations per multiply-add, as is usual for model
FLOPs. Norms, softmax and activations add a few percent.
"""

import numpy as np
from jaxtyping import Int

from fdbpl_jax.clip.config import TextConfig, TowerConfig, VisionConfig


def vision_flops(config: VisionConfig, projection: int) -> int:
    """Count operations of the image tower per image; `projection` is D."""
    patches = (config.image_size // config.patch_size) ** 2
    width = config.tower.width
    embedding = patches * 3 * config.patch_size**2 * width
    return 2 * (embedding + width * projection) + _blocks(config.tower, patches + 1)


def text_flops(config: TextConfig, projection: int, tokens: int) -> int:
    """Count operations of the text tower per text of `tokens`; `projection` is D.

    Attention is counted in full, as it is computed, though half of it is masked.
    """
    return 2 * config.tower.width * projection + _blocks(config.tower, tokens)


def prompts_flops(
    config: TextConfig, projection: int, prefix: int, suffixes: Int[np.ndarray, " C"]
) -> int:
    """Count the minimal operations of the text tower for the prompts of all classes.

    The shared prefix once, each suffix at its own length, attention without masked
    positions, and of the last layer's outputs only those at EOS.

    Args:
      config: of the tower.
      projection: D.
      prefix: P, positions that all classes share.
      suffixes: positions of each class's own.
    """
    width, dense = config.tower.width, _dense(config.tower)
    tokens = prefix + int(suffixes.sum())
    # A position attends to itself and all before it, EOS to its class's full prompt.
    by_suffix = suffixes * prefix + suffixes * (suffixes + 1) // 2
    seen = prefix * (prefix + 1) // 2 + int(by_suffix.sum())
    seen_by_eos = int((prefix + suffixes).sum())
    layer = tokens * dense + 2 * seen * width
    key_value = 2 * width**2
    last = tokens * key_value + len(suffixes) * (dense - key_value)
    last += 2 * seen_by_eos * width + len(suffixes) * width * projection
    return 2 * ((config.tower.layers - 1) * layer + last)


def step_flops(prompts: int, classes: int, batch: int, projection: int) -> int:
    """Count operations of a training step, forward and backward.

    Weights are frozen, so the backward pass computes only the gradient of each
    product's input, which costs as much as the product.

    Args:
      prompts: operations of the text tower for all learned prompts.
      classes: C of all of them together. batch: B. projection: D.
    """
    return 2 * (prompts + 2 * batch * classes * projection)


def _blocks(tower: TowerConfig, tokens: int) -> int:
    """Count all layers: query, key, value, output; MLP; attention scores and sums."""
    attention = 2 * tokens * tower.width
    return 2 * tower.layers * tokens * (_dense(tower) + attention)


def _dense(tower: TowerConfig) -> int:
    """Count multiply-adds of a layer's matrices per position."""
    return 4 * tower.width**2 + 2 * tower.width * tower.mlp_width

"""Floating-point operations of the towers, counted from their configuration.

Matrix products alone, two operations a multiply-and-add, as is usual for model FLOPs:
norms, softmax and activations are some percent more, and no device is rated by them.
"""

import numpy as np
from jaxtyping import Int

from fdbpl_jax.clip.config import TextConfig, TowerConfig, VisionConfig


def vision_flops(config: VisionConfig, projection: int) -> int:
    """Operations of the image tower for one image, `projection` (D) wide at its end."""
    patches = (config.image_size // config.patch_size) ** 2
    width = config.tower.width
    embedding = patches * 3 * config.patch_size**2 * width
    return 2 * (embedding + width * projection) + _blocks(config.tower, patches + 1)


def text_flops(config: TextConfig, projection: int, tokens: int) -> int:
    """Operations of the text tower for one text of `tokens`, D wide at its end.

    Attention is counted whole, as it is computed, though half of it is masked.
    """
    return 2 * config.tower.width * projection + _blocks(config.tower, tokens)


def prompts_flops(
    config: TextConfig, projection: int, prefix: int, suffixes: Int[np.ndarray, "C"]
) -> int:
    """Operations of the text tower for all classes' prompts, with nothing wasted.

    The prefix that they share once, each suffix at its own length, what attention sees
    and no more, and of the last layer's outputs only those at EOS.

    Args:
      config: of the tower.
      projection: D.
      prefix: P, positions that all classes share.
      suffixes: positions of each class's own.
    """
    width, dense = config.tower.width, _dense(config.tower)
    tokens = prefix + int(suffixes.sum())
    # A position sees itself and all before it, an EOS the whole of its class's prompt.
    by_suffix = suffixes * prefix + suffixes * (suffixes + 1) // 2
    seen = prefix * (prefix + 1) // 2 + int(by_suffix.sum())
    seen_by_eos = int((prefix + suffixes).sum())
    layer = tokens * dense + 2 * seen * width
    key_value = 2 * width**2
    last = tokens * key_value + len(suffixes) * (dense - key_value)
    last += 2 * seen_by_eos * width + len(suffixes) * width * projection
    return 2 * ((config.tower.layers - 1) * layer + last)


def step_flops(prompts: int, classes: int, batch: int, projection: int) -> int:
    """Operations of a training step, there and back.

    Weights are frozen: backward, each product has the gradient of its input only, which
    costs what the product did.

    Args:
      prompts: operations of the text tower, of all prompts that are learned.
      classes: C of all of them together. batch: B. projection: D.
    """
    return 2 * (prompts + 2 * batch * classes * projection)


def _blocks(tower: TowerConfig, tokens: int) -> int:
    """All layers: query, key, value and output; the MLP; scores and their mixture."""
    attention = 2 * tokens * tower.width
    return 2 * tower.layers * tokens * (_dense(tower) + attention)


def _dense(tower: TowerConfig) -> int:
    """Multiply-and-adds of a layer's matrices for one position."""
    return 4 * tower.width**2 + 2 * tower.width * tower.mlp_width

"""Floating-point operations of the towers, counted from their configuration.

Matrix products alone, two operations a multiply-and-add, as is usual for model FLOPs:
norms, softmax and activations are some percent more, and no device is rated by them.
"""

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


def _blocks(tower: TowerConfig, tokens: int) -> int:
    """All layers: query, key, value and output; the MLP; scores and their mixture."""
    dense = 4 * tower.width**2 + 2 * tower.width * tower.mlp_width
    attention = 2 * tokens * tower.width
    return 2 * tower.layers * tokens * (dense + attention)

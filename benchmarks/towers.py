"""Sizes of real CLIPs, with random weights: speed does not depend on what they know."""

from typing import Any

import jax

from fdbpl_jax.clip.config import ClipConfig, TextConfig, TowerConfig, VisionConfig
from fdbpl_jax.clip.convert import init_clip

_VOCABULARY = {"vocab_size": 49408, "context_length": 77, "eos_token_id": 49407}


def _clip(
    vision: tuple[int, int, int], text: tuple[int, int, int], patch: int, joint: int
) -> ClipConfig:
    """A ViT CLIP of 224 pixels; (width, layers, heads) of both towers."""
    return ClipConfig(
        vision=VisionConfig(_tower(*vision), image_size=224, patch_size=patch),
        text=TextConfig(_tower(*text), **_VOCABULARY),
        projection=joint,
    )


def _tower(width: int, layers: int, heads: int) -> TowerConfig:
    return TowerConfig(width, layers, heads, 4 * width, "quick_gelu", 1e-5)


# ViT-B/32 and ViT-L/14 as OpenAI published them; "tiny" is for trying a suite out.
SIZES: dict[str, ClipConfig] = {
    "ViT-B/32": _clip((768, 12, 12), (512, 12, 8), 32, 512),
    "ViT-L/14": _clip((1024, 24, 16), (768, 12, 12), 14, 768),
    "tiny": _clip((64, 2, 2), (64, 2, 2), 56, 32),
}


def random_params(config: ClipConfig, seed: int) -> dict[str, Any]:
    """Parameters of both towers, float32."""
    init = jax.jit(init_clip, static_argnums=0)
    return init(config, jax.random.key(seed))

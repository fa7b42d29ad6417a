"""Models of known sizes with random weights; speed depends only on shapes."""

import dataclasses
import functools
import types
from collections.abc import Mapping

import jax
from jax.typing import DTypeLike

from fdbpl_jax.clip.config import ClipConfig, TextConfig, TowerConfig, VisionConfig
from fdbpl_jax.clip.convert import init_clip
from fdbpl_jax.clip.image import ImageSettings
from fdbpl_jax.clip.model import Clip
from fdbpl_jax.clip.tokenizer import load_tokenizer
from fdbpl_jax.errors import unknown_name
from fdbpl_jax.shapes import embedded

_EPS = 1e-5
_EOS = 49407


def _vit(patch: int, width: int, layers: int, text: int, joint: int) -> ClipConfig:
    """Return an OpenAI CLIP: heads of width 64, MLPs four times the tower's width."""
    return ClipConfig(
        VisionConfig(_tower(width, layers), 224, patch),
        TextConfig(_tower(text, 12), 49408, 77, _EOS),
        joint,
    )


def _tower(width: int, layers: int) -> TowerConfig:
    return TowerConfig(width, layers, width // 64, 4 * width, "quick_gelu", _EPS)


CONFIGS: Mapping[str, ClipConfig] = types.MappingProxyType(
    {
        "ViT-B/32": _vit(32, 768, 12, 512, 512),
        "ViT-B/16": _vit(16, 768, 12, 512, 512),
        "ViT-L/14": _vit(14, 1024, 24, 768, 768),
        # For testing the suites.
        "tiny": ClipConfig(
            VisionConfig(_tower(64, 2), 32, 8),
            TextConfig(_tower(64, 2), 49408, 77, _EOS),
            48,
        ),
    }
)


def config_of(name: str) -> ClipConfig:
    """Return the configuration of that name.

    Raises:
      UserError: there is no such size.
    """
    if name not in CONFIGS:
        raise unknown_name("model of the benchmarks", name, tuple(CONFIGS))
    return CONFIGS[name]


def random_params(config: ClipConfig, seed: int) -> dict:
    """Draw random parameters on the default device, float32."""
    return jax.jit(functools.partial(init_clip, config))(jax.random.key(seed))


def cast(params: dict, dtype: DTypeLike) -> dict:
    """Convert both towers to another dtype; the logit scale is unchanged."""
    towers = {name: params[name] for name in ("vision", "text")}
    return params | jax.tree.map(lambda leaf: leaf.astype(dtype), towers)


def random_clip(name: str, seed: int, dtype: DTypeLike) -> Clip:
    """Return a model of that size with the tokenizer of the embedded pair.

    Raises:
      UserError: there is no such size.
    """
    tokenizer = load_tokenizer(embedded("student"))
    config = config_of(name)
    text = dataclasses.replace(config.text, eos_token_id=tokenizer.eos_token_id)
    config = dataclasses.replace(config, text=text)
    return Clip(
        config=config,
        params=cast(random_params(config, seed), dtype),
        tokenizer=tokenizer,
        image=ImageSettings(config.vision.image_size),
        fingerprint=f"random {name} {seed}",
        name=name,
    )

"""Frozen towers of `transformers` with our weights."""

from typing import Any

import numpy as np
import torch
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from fdbpl_jax.clip.config import TextConfig, TowerConfig, VisionConfig
from fdbpl_jax.clip.convert import to_hf_tensors


def image_tower(
    config: VisionConfig, params: dict[str, Any]
) -> CLIPVisionModelWithProjection:
    """Return the image tower."""
    tensors = _tensors({"vision": params})
    tower = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            image_size=config.image_size,
            patch_size=config.patch_size,
            projection_dim=len(tensors["visual_projection.weight"]),
            **_shared(config.tower),
        )
    )
    return _frozen(tower, tensors)


def text_tower(
    config: TextConfig, params: dict[str, Any]
) -> CLIPTextModelWithProjection:
    """Return the text tower."""
    tensors = _tensors({"text": params})
    tower = CLIPTextModelWithProjection(
        CLIPTextConfig(
            vocab_size=config.vocab_size,
            projection_dim=len(tensors["text_projection.weight"]),
            max_position_embeddings=config.context_length,
            bos_token_id=None,  # the default is outside a small vocabulary
            eos_token_id=config.eos_token_id,
            **_shared(config.tower),
        )
    )
    return _frozen(tower, tensors)


def _shared(tower: TowerConfig) -> dict[str, Any]:
    return {
        "hidden_size": tower.width,
        "intermediate_size": tower.mlp_width,
        "num_hidden_layers": tower.layers,
        "num_attention_heads": tower.heads,
        "hidden_act": tower.activation,
        "layer_norm_eps": tower.norm_eps,
        "attn_implementation": "sdpa",
    }


def _tensors(params: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {
        name: torch.from_numpy(np.array(tensor))
        for name, tensor in to_hf_tensors(params).items()
    }


def _frozen(tower: torch.nn.Module, tensors: dict[str, torch.Tensor]):
    tower.load_state_dict(tensors)
    return tower.eval().requires_grad_(False)

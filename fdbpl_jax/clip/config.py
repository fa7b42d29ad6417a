"""What a CLIP is made of: to and from the `config.json` of Hugging Face."""

import dataclasses
import math
from typing import Any

from fdbpl_jax.errors import UserError

# What `transformers` assumes for a field that a config.json leaves out.
_TEXT_DEFAULTS = {
    "hidden_size": 512,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "intermediate_size": 2048,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "eos_token_id": 49407,
}
_VISION_DEFAULTS = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 32,
}
_USE_A_CLIP = (
    "Use a CLIP with ViT towers in Hugging Face layout, such as "
    "openai/clip-vit-base-patch16 or laion/CLIP-ViT-H-14-laion2B-s32B-b79K."
)


@dataclasses.dataclass(frozen=True)
class TowerConfig:
    """The transformer that both towers share the form of."""

    width: int
    layers: int
    heads: int
    mlp_width: int
    activation: str  # "quick_gelu" or "gelu"
    norm_eps: float


@dataclasses.dataclass(frozen=True)
class VisionConfig:
    """The image tower: a ViT with a class token."""

    tower: TowerConfig
    image_size: int  # pixels, square
    patch_size: int  # pixels, square


@dataclasses.dataclass(frozen=True)
class TextConfig:
    """The text tower: a causal transformer read at EOS."""

    tower: TowerConfig
    vocab_size: int
    context_length: int  # the most tokens a text may have, SOS and EOS included
    eos_token_id: int  # 2 stands for "the largest id of the text", see `clip.text`


@dataclasses.dataclass(frozen=True)
class ClipConfig:
    """Two towers and the width of the embedding they meet in."""

    vision: VisionConfig
    text: TextConfig
    projection: int


def parse_config(hf: dict[str, Any]) -> ClipConfig:
    """The settings in a Hugging Face `config.json` of model type "clip".

    Fields left out take the defaults of `transformers`. As there, a `text_config_dict`
    or `vision_config_dict`, which older files have, wins over the section of its name.

    Raises:
      UserError: the model is no CLIP, or has a part that is not implemented here.
    """
    kind = hf.get("model_type", "clip")
    if kind != "clip":
        raise UserError(
            f"model_type '{kind}' in config.json is not 'clip'", _USE_A_CLIP
        )
    text = _section(hf, "text_config", _TEXT_DEFAULTS)
    vision = _section(hf, "vision_config", _VISION_DEFAULTS)
    return ClipConfig(
        vision=_vision(vision),
        text=TextConfig(
            tower=_tower(text, "text_config"),
            vocab_size=_integer(text, "text_config", "vocab_size"),
            context_length=_integer(text, "text_config", "max_position_embeddings"),
            eos_token_id=_integer(text, "text_config", "eos_token_id", least=0),
        ),
        projection=_integer({"projection_dim": 512, **hf}, "", "projection_dim"),
    )


def to_hf_config(config: ClipConfig) -> dict[str, Any]:
    """The `config.json` that `parse_config` reads back as `config`."""
    vision = {
        **_to_hf_tower(config.vision.tower),
        "model_type": "clip_vision_model",
        "num_channels": 3,
        "image_size": config.vision.image_size,
        "patch_size": config.vision.patch_size,
        "projection_dim": config.projection,
    }
    text = {
        **_to_hf_tower(config.text.tower),
        "model_type": "clip_text_model",
        "vocab_size": config.text.vocab_size,
        "max_position_embeddings": config.text.context_length,
        "eos_token_id": config.text.eos_token_id,
        "projection_dim": config.projection,
    }
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": config.projection,
        "text_config": text,
        "vision_config": vision,
    }


def _section(hf: dict[str, Any], name: str, defaults: dict[str, Any]) -> dict[str, Any]:
    given = hf.get(f"{name}_dict")
    given = hf.get(name) if given is None else given
    if given is not None and not isinstance(given, dict):
        raise UserError(
            f"{name} in config.json is {given!r}, not an object", _USE_A_CLIP
        )
    return {**defaults, **(given or {})}


def _vision(section: dict[str, Any]) -> VisionConfig:
    if section["num_channels"] != 3:
        raise UserError(
            "vision_config.num_channels in config.json is "
            f"{section['num_channels']!r}, and only colour images (3) are read",
            _USE_A_CLIP,
        )
    config = VisionConfig(
        tower=_tower(section, "vision_config"),
        image_size=_integer(section, "vision_config", "image_size"),
        patch_size=_integer(section, "vision_config", "patch_size"),
    )
    if config.patch_size > config.image_size:
        raise UserError(
            f"vision_config.patch_size {config.patch_size} in config.json is larger "
            f"than image_size {config.image_size}",
            "Correct the file: it does not describe a model.",
        )
    return config


def _tower(section: dict[str, Any], name: str) -> TowerConfig:
    activation = section["hidden_act"]
    if activation not in ("quick_gelu", "gelu"):
        raise UserError(
            f"{name}.hidden_act '{activation}' in config.json is not implemented "
            "('quick_gelu' and 'gelu' are)",
            _USE_A_CLIP,
        )
    tower = TowerConfig(
        width=_integer(section, name, "hidden_size"),
        layers=_integer(section, name, "num_hidden_layers"),
        heads=_integer(section, name, "num_attention_heads"),
        mlp_width=_integer(section, name, "intermediate_size"),
        activation=activation,
        norm_eps=_positive(section, name, "layer_norm_eps"),
    )
    if tower.width % tower.heads:
        raise UserError(
            f"{name}.hidden_size {tower.width} in config.json is not a multiple of "
            f"num_attention_heads {tower.heads}",
            "Correct the file: it does not describe a model.",
        )
    return tower


def _integer(section: dict[str, Any], name: str, key: str, least: int = 1) -> int:
    value = section[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        where = f"{name}.{key}".lstrip(".")
        raise UserError(
            f"{where} in config.json is {value!r}, not a whole number from {least} on",
            _USE_A_CLIP,
        )
    return value


def _positive(section: dict[str, Any], name: str, key: str) -> float:
    value = section[key]
    if not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise UserError(
            f"{name}.{key} in config.json is {value!r}, not a number above 0",
            _USE_A_CLIP,
        )
    return float(value)


def _to_hf_tower(tower: TowerConfig) -> dict[str, Any]:
    return {
        "hidden_size": tower.width,
        "num_hidden_layers": tower.layers,
        "num_attention_heads": tower.heads,
        "intermediate_size": tower.mlp_width,
        "hidden_act": tower.activation,
        "layer_norm_eps": tower.norm_eps,
    }

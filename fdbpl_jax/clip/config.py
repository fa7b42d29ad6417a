"""The sizes of a CLIP, from and to the `config.json` of Hugging Face."""

import dataclasses
import reprlib
from typing import Any

from huggingface_hub import errors

from fdbpl_jax.errors import UserError

# Fields of `transformers` by those of `TowerConfig`, and those of either section.
_SIZES = {
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "mlp_width": "intermediate_size",
}
_TOWER = (*_SIZES.values(), "hidden_act", "layer_norm_eps")
_TEXT = (*_TOWER, "vocab_size", "max_position_embeddings", "eos_token_id")
_VISION = (*_TOWER, "num_channels", "image_size", "patch_size")
_MOST = 2**20  # of any size: what is made of two of them can still be counted


@dataclasses.dataclass(frozen=True)
class TowerConfig:
    """The transformer of a tower, of the same form in both."""

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
    """Two towers and the width of their joint embedding."""

    vision: VisionConfig
    text: TextConfig
    projection: int


def parse_config(hf: dict[str, Any]) -> ClipConfig:
    """Read the content of a Hugging Face `config.json` of model type "clip".

    Fields left out take the defaults of `transformers`. As there, a `text_config_dict`
    or `vision_config_dict`, which older files have, wins over the section of its name.
    A part that is not implemented here is a UserError.
    """
    import transformers  # here: half a second that commands without a model save

    kind = hf.get("model_type", "clip")
    if kind != "clip":
        what = f"model_type {reprlib.repr(kind)} in config.json is not 'clip'"
        raise _unusable(what)
    text = _section(hf, "text_config", transformers.CLIPTextConfig, _TEXT)
    vision = _section(hf, "vision_config", transformers.CLIPVisionConfig, _VISION)
    positions = text.max_position_embeddings
    projection = hf.get("projection_dim", transformers.CLIPConfig.projection_dim)
    return ClipConfig(
        vision=_vision(vision),
        text=TextConfig(
            tower=_tower(text, "text_config"),
            vocab_size=_size("text_config.vocab_size", text.vocab_size),
            context_length=_size("text_config.max_position_embeddings", positions),
            eos_token_id=_size("text_config.eos_token_id", text.eos_token_id, least=0),
        ),
        projection=_size("projection_dim", projection),
    )


def to_hf_config(config: ClipConfig) -> dict[str, Any]:
    """Write the `config.json` that `parse_config` reads back as `config`."""
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


def _section(hf: dict[str, Any], name: str, kind: type, fields: tuple[str, ...]) -> Any:
    """Read the `fields` of a section as a `kind` of `transformers`; it checks types."""
    sections: tuple[Any, ...] = (hf.get(f"{name}_dict"), hf.get(name), {})
    values = next(section for section in sections if section is not None)
    if not isinstance(values, dict):
        what = f"{name} in config.json is {reprlib.repr(values)}, not an object"
        raise _unusable(what)
    values = {field: values[field] for field in fields if field in values}
    try:
        # These two are not used, and their defaults may exceed a small vocabulary.
        return kind(**values, bos_token_id=None, pad_token_id=None)
    except ZeroDivisionError:
        reason = "num_attention_heads is 0"
    except errors.StrictDataclassClassValidationError as error:
        reason = f"num_attention_heads must divide hidden_size ({error})"
    except errors.StrictDataclassError as error:
        reason = str(error)
    reason = " ".join(reason.split())[:300]
    raise _unusable(f"{name} in config.json is not valid: {reason}")


def _vision(section: Any) -> VisionConfig:
    if section.num_channels != 3:
        raise _unusable(
            f"vision_config.num_channels in config.json is "
            f"{reprlib.repr(section.num_channels)}, and only colour images (3) are read"
        )
    config = VisionConfig(
        tower=_tower(section, "vision_config"),
        image_size=_size("vision_config.image_size", section.image_size),
        patch_size=_size("vision_config.patch_size", section.patch_size),
    )
    if config.patch_size > config.image_size:
        raise UserError(
            f"vision_config.patch_size {config.patch_size} in config.json is larger "
            f"than image_size {config.image_size}",
            "Correct the file: it does not describe a model.",
        )
    return config


def _tower(section: Any, name: str) -> TowerConfig:
    if section.hidden_act not in ("quick_gelu", "gelu"):
        raise _unusable(
            f"{name}.hidden_act in config.json is {reprlib.repr(section.hidden_act)}, "
            "which is not implemented ('quick_gelu' and 'gelu' are)"
        )
    eps = section.layer_norm_eps
    if eps is None or not 0 < eps < 1:
        raise _unusable(
            f"{name}.layer_norm_eps in config.json is {reprlib.repr(eps)}, not a "
            "number between 0 and 1"
        )
    sizes = {
        size: _size(f"{name}.{field}", getattr(section, field))
        for size, field in _SIZES.items()
    }
    return TowerConfig(**sizes, activation=section.hidden_act, norm_eps=eps)


def _size(name: str, value: Any, least: int = 1) -> int:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if not is_integer or not least <= value <= _MOST:
        raise _unusable(
            f"{name} in config.json is {reprlib.repr(value)}, not a whole number from "
            f"{least} to {_MOST}"
        )
    return value


def _unusable(what: str) -> UserError:
    return UserError(
        what,
        "Use a CLIP with ViT towers in Hugging Face layout, such as "
        "openai/clip-vit-base-patch32 or openai/clip-vit-large-patch14.",
    )


def _to_hf_tower(tower: TowerConfig) -> dict[str, Any]:
    sizes = {field: getattr(tower, size) for size, field in _SIZES.items()}
    return sizes | {"hidden_act": tower.activation, "layer_norm_eps": tower.norm_eps}

"""A frozen CLIP as one value, and its features."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from fdbpl_jax.clip import files, hub, weights
from fdbpl_jax.clip.config import ClipConfig, TextConfig, parse_config, to_hf_config
from fdbpl_jax.clip.convert import convert, to_hf_tensors
from fdbpl_jax.clip.image import (
    ImageSettings,
    normalise,
    parse_image_settings,
    to_hf_preprocessor,
)
from fdbpl_jax.clip.text import encode_text
from fdbpl_jax.clip.tokenizer import (
    Tokenizer,
    check_tokenizer,
    load_tokenizer,
    tokenize,
)
from fdbpl_jax.clip.vision import encode_image
from fdbpl_jax.errors import UserError

_TEXT_ROWS = 64  # texts encoded at a time
_TEXT_STEP = 8  # text lengths are rounded up to a multiple of this


@dataclasses.dataclass(frozen=True)
class Clip:
    """A frozen CLIP: two towers, a tokenizer, and how images are prepared."""

    config: ClipConfig
    params: dict[str, Any]  # {"vision": ..., "text": ..., "logit_scale": ...}
    tokenizer: Tokenizer
    image: ImageSettings
    fingerprint: str  # sha256 of the files, see `clip.files.fingerprint`
    name: str  # as given by the user; no part of the fingerprint

    @property
    def dtype(self) -> str:
        """The dtype in which both towers compute."""
        return self.params["vision"]["class_embedding"].dtype.name


def load_clip(source: str, only_hub: bool = False) -> Clip:
    """Read a CLIP from a directory or the Hugging Face hub, as float32.

    With `only_hub` a directory that is named like a hub id is not read.

    Raises:
      UserError: it cannot be read, or is no CLIP with ViT towers.
    """
    try:
        return _load(source, hub.locate(source, only_hub))
    except OSError as error:
        what = f"the model '{source:.200}' cannot be read: {error.strerror or error}"
        where = f" ('{error.filename!s:.200}')" if error.filename else ""
        raise UserError(what + where, "Check the path and its permissions.") from error


def _load(source: str, directory: Path) -> Clip:
    weight_files = weights.weight_files(directory)
    files.refuse_pointers([*files.settings_files(directory), *weight_files])
    config = parse_config(files.read_json(directory / "config.json"))
    image = parse_image_settings(
        files.read_preprocessor(directory), config.vision.image_size
    )
    tokenizer = load_tokenizer(directory)
    check_tokenizer(tokenizer, config.text)
    return Clip(
        config=config,
        params=convert(config, weights.read_tensors(weight_files), source),
        tokenizer=tokenizer,
        image=image,
        fingerprint=files.fingerprint(directory, weight_files),
        name=source,
    )


def cast(clip: Clip, dtype: str) -> Clip:
    """Cast both towers to another dtype; the logit scale stays float32.

    Norms, softmax and the towers' outputs are float32 all the same.
    """
    towers = {name: clip.params[name] for name in ("vision", "text")}
    towers = jax.tree.map(lambda leaf: leaf.astype(dtype), towers)
    return dataclasses.replace(clip, params=clip.params | towers)


def save_clip(
    config: ClipConfig,
    params: dict[str, Any],
    image: ImageSettings,
    tokenizer: Path,
    directory: Path,
    *,
    dtype: Any = np.float32,
) -> None:
    """Write a CLIP in Hugging Face layout, for `load_clip` and for `transformers`.

    Args:
      tokenizer: a directory with the tokenizer files to copy beside the weights.
      directory: to write, which must not exist or be empty.
      dtype: of the weights in the file.

    Raises:
      UserError: the directory is not empty, or the tokenizer does not fit the model.
    """
    check_tokenizer(load_tokenizer(tokenizer), config.text)
    jsons = {
        "config.json": {**to_hf_config(config), "dtype": np.dtype(dtype).name},
        "preprocessor_config.json": to_hf_preprocessor(image),
    }
    tensors = {
        name: tensor.astype(dtype, order="C")  # safetensors writes bytes as they lie
        for name, tensor in to_hf_tensors(params).items()
    }
    files.write_model(directory, jsons, tensors, tokenizer)


def logit_scale(clip: Clip) -> float:
    """Compute 1 / temperature, the factor from cosines to logits."""
    return float(np.exp(np.float32(clip.params["logit_scale"])))


def image_features(
    clip: Clip, pixels: UInt8[Array | np.ndarray, "B S S 3"]
) -> Float[Array, "B D"]:
    """Encode images as L2-normalised features, float32; compiled once per B.

    Pixels are 0 to 255, as `preprocess` gives them.
    """
    return _image_features(clip.config, clip.image, clip.params["vision"], pixels)


def text_features(clip: Clip, texts: Sequence[str]) -> Float[Array, "C D"]:
    """Encode texts as L2-normalised features, float32.

    Texts are cut after the longest one's EOS, and encoded in chunks of a few fixed
    shapes, so that other texts rarely need another compilation.

    Raises:
      UserError: as `tokenize`, or if a feature is not finite.
    """
    if not texts:
        return jnp.zeros((0, clip.config.projection))
    ids = tokenize(clip.tokenizer, texts, clip.config.text)
    longest = int((ids == clip.tokenizer.eos_token_id).argmax(-1).max()) + 1
    ids = ids[:, : -(-longest // _TEXT_STEP) * _TEXT_STEP]
    rows = min(_TEXT_ROWS, 1 << (len(ids) - 1).bit_length())
    padded = np.concatenate([ids, np.repeat(ids[:1], -len(ids) % rows, axis=0)])
    features = [
        _text_features(clip.config.text, clip.params["text"], chunk)
        for chunk in padded.reshape(-1, rows, ids.shape[1])
    ]
    joined = jnp.concatenate(features)[: len(ids)]
    if bad := np.flatnonzero(~np.isfinite(joined).all(axis=1)).tolist():
        raise UserError(
            f"model '{clip.name}' gives no finite feature for {len(bad)} of "
            f"{len(ids)} texts, the first is '{texts[bad[0]]}'",
            "The model is at fault, not the training: get its weights again, or use "
            "another.",
        )
    return joined


@functools.partial(jax.jit, static_argnums=(0, 1))
def _image_features(
    config: ClipConfig,
    image: ImageSettings,
    params: dict[str, Any],
    pixels: UInt8[Array, "B S S 3"],
) -> Float[Array, "B D"]:
    return unit(encode_image(config.vision, params, normalise(image, pixels)))


@functools.partial(jax.jit, static_argnums=0)
def _text_features(
    config: TextConfig, params: dict[str, Any], ids: Int[Array, "C T"]
) -> Float[Array, "C D"]:
    return unit(encode_text(config, params, ids))


def unit(x: Float[Array, "N D"]) -> Float[Array, "N D"]:
    """Normalise rows to length 1."""
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)

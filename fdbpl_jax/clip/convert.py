"""Conversion of weights between Hugging Face's names and layouts and ours."""

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from fdbpl_jax.clip.config import ClipConfig
from fdbpl_jax.clip.text import init_text
from fdbpl_jax.clip.vision import init_vision
from fdbpl_jax.errors import UserError

KeyPath = tuple[str, ...]  # of a leaf in the tree of parameters

# Our names to theirs; "pre_layrnorm" is their spelling.
_MODULES = {
    "patch_embedding": "embeddings.patch_embedding",
    "pre_norm": "pre_layrnorm",
    "post_norm": "post_layernorm",
    "final_norm": "final_layer_norm",
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "query_proj": "self_attn.q_proj",
    "key_proj": "self_attn.k_proj",
    "value_proj": "self_attn.v_proj",
    "out_proj": "self_attn.out_proj",
    "fc1": "mlp.fc1",
    "fc2": "mlp.fc2",
}
_LEAVES = {
    "class_embedding": "embeddings.class_embedding",
    "position_embedding": "embeddings.position_embedding.weight",
    "token_embedding": "embeddings.token_embedding.weight",
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
}
# Kernels by their number of axes: of a dense layer, and of the patch convolution.
_TO_OURS = {2: (1, 0), 4: (2, 3, 1, 0)}
_TO_HF = {2: (1, 0), 4: (3, 2, 0, 1)}
# A range of integers that older files store with the weights.
_BUFFER = ".embeddings.position_ids"
_SCALE = "logit_scale"
_MAX_SCALE = 88.0  # of a logit scale: its exponential is a float32
_DTYPES = ("float16", "bfloat16", "float32", "float64")
_MEND = "Use weights and config.json of the same CLIPModel."


@functools.cache  # tracing the towers takes longer than reading small weights
def param_shapes(config: ClipConfig) -> dict[str, Any]:
    """Build the tree of a model's parameters, with shapes in place of arrays."""
    return jax.eval_shape(lambda: init_clip(config, jax.random.key(0)))


def init_clip(config: ClipConfig, key: jax.Array) -> dict[str, Any]:
    """Draw random parameters of a CLIP, float32, with OpenAI's first logit scale."""
    vision, text = jax.random.split(key)
    return {
        "vision": init_vision(config.vision, config.projection, vision),
        "text": init_text(config.text, config.projection, text),
        "logit_scale": jnp.float32(np.log(1 / 0.07)),
    }


def convert(
    config: ClipConfig, tensors: dict[str, np.ndarray], source: str = ""
) -> dict[str, Any]:
    """Convert a checkpoint of `transformers`' `CLIPModel` to float32 parameters.

    Every parameter of `{"vision": ..., "text": ..., "logit_scale": ...}` is filled. A
    prefix of all names is taken off and other tensors are ignored, each with a notice.

    Args:
      config, tensors: the model's sizes, and its weights by name.
      source: the model's name in messages.

    Raises:
      UserError: names or layers are missing or left over, a shape is not that of the
        configuration, or a number is not finite.
    """
    whose = f"the weights of '{source}'" if source else "the weights"
    given = _without_prefix(tensors, whose)
    _check_layers(config, given, whose)
    shapes = param_shapes(config)
    wanted = {_hf_name(path): _hf_shape(path, spec) for path, spec in _leaves(shapes)}
    _refuse(f"{whose} do not hold", [n for n in wanted if n not in given])
    if ignored := [name for name in given if name not in wanted]:
        logging.warning(
            "%s hold what a CLIPModel does not have, which is ignored: %s",
            whose,
            _listed(ignored),
        )
    wrong = [
        f"{name} {given[name].shape}, not {shape}"
        for name, shape in wanted.items()
        if given[name].shape != shape
    ]
    _refuse(f"{whose} and config.json disagree on shapes:", wrong)
    _check_numbers({name: given[name] for name in wanted}, whose)

    def load(path: Any, _: jax.ShapeDtypeStruct) -> jax.Array:
        tensor = given[_hf_name(_keys(path))]
        return jnp.asarray(_permute(_keys(path), tensor, _TO_OURS), jnp.float32)

    return jax.tree_util.tree_map_with_path(load, shapes)


def to_hf_tensors(params: dict[str, Any]) -> dict[str, np.ndarray]:
    """Convert parameters to tensors by their names in a `CLIPModel`, as views."""
    return {
        _hf_name(path): _permute(path, np.asarray(leaf), _TO_HF)
        for path, leaf in _leaves(params)
    }


def _hf_name(path: KeyPath) -> str:
    if path == (_SCALE,):
        return _SCALE
    tower, *modules, leaf = path
    if modules == ["to_joint"]:
        return {"vision": "visual", "text": "text"}[tower] + "_projection.weight"
    parts = [_MODULES.get(m, m.replace("layers_", "encoder.layers.")) for m in modules]
    return ".".join([f"{tower}_model", *parts, _LEAVES[leaf]])


def _permute(
    path: KeyPath, tensor: np.ndarray, axes: dict[int, tuple[int, ...]]
) -> np.ndarray:
    return tensor.transpose(axes[tensor.ndim]) if path[-1] == "kernel" else tensor


def _hf_shape(path: KeyPath, spec: jax.ShapeDtypeStruct) -> tuple[int, ...]:
    if path[-1] != "kernel":
        return spec.shape
    return tuple(spec.shape[axis] for axis in _TO_HF[spec.ndim])


def _leaves(tree: dict[str, Any]) -> list[tuple[KeyPath, Any]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(_keys(path), leaf) for path, leaf in leaves]


def _keys(path: tuple[jax.tree_util.DictKey, ...]) -> KeyPath:
    return tuple(entry.key for entry in path)


def _without_prefix(
    tensors: dict[str, np.ndarray], whose: str
) -> dict[str, np.ndarray]:
    """The tensors by their names in a CLIPModel, without buffers.

    A model inside another has names that begin with "module." or "clip.".
    """
    ends = (name.removesuffix(_SCALE) for name in tensors if name.endswith(_SCALE))
    prefixes = [prefix for prefix in ends if prefix == "" or prefix.endswith(".")]
    prefix = prefixes[0] if len(prefixes) == 1 else ""
    if prefix:
        others = [name for name in tensors if not name.startswith(prefix)]
        rest = f"; ignored are {_listed(others)}" if others else ""
        notice = "%s have names with '%s' in front, taken off%s"
        logging.warning(notice, whose, prefix, rest)
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix) and not name.endswith(_BUFFER)
    }


def _check_layers(config: ClipConfig, given: dict[str, np.ndarray], whose: str) -> None:
    """Refuse other numbers of layers; before a tree of a million layers is built."""
    towers = {"vision": config.vision.tower, "text": config.text.tower}
    for name, tower in towers.items():
        layer = re.compile(rf"{name}_model\.encoder\.layers\.(\d+)\.")
        stored = {match[1] for match in map(layer.match, given) if match}
        if len(stored) != tower.layers:
            names = "" if stored else f"; their names are {_listed(list(given))}"
            raise UserError(
                f"{whose} hold {len(stored)} layers of the {name} tower, and "
                f"config.json says {tower.layers}{names}",
                _MEND,
            )


def _check_numbers(tensors: dict[str, np.ndarray], whose: str) -> None:
    dtypes = [f"{n} {t.dtype}" for n, t in tensors.items() if t.dtype not in _DTYPES]
    _refuse(f"{whose} are not in one of {', '.join(_DTYPES)}:", dtypes)
    broken = [name for name, t in tensors.items() if not np.isfinite(t).all()]
    _refuse(f"{whose} hold NaN or infinity in", broken, "Get the weights again.")
    if abs(scale := float(tensors[_SCALE])) > _MAX_SCALE:
        what = f"{_SCALE} {scale:g}, and its exponential is no float32"
        _refuse(f"{whose} hold", [what], "It is the logarithm of 1 / temperature.")


def _refuse(what: str, names: list[str], mend: str = _MEND) -> None:
    if names:
        raise UserError(f"{what} {_listed(names)}", mend)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"{', '.join(names[:8])}{more}"

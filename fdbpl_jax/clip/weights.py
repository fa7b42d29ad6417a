"""Weight files of a CLIP: chosen among what a model has, and read by name."""

import fnmatch
import importlib.util
import reprlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy
from flax import serialization

from fdbpl_jax.clip.files import AGAIN, read_json
from fdbpl_jax.errors import UserError

Tensors = dict[str, np.ndarray]

_DTYPES = ("F64", "F32", "F16", "BF16")
_SUFFIXES = (".safetensors", ".bin", ".msgpack", ".h5", ".pt", ".pth", ".ckpt", ".onnx")
_INDEX = ".index.json"


class _Format(NamedTuple):
    single: str  # the file that holds all weights
    shards: str  # pattern of the files that hold a part each
    read: Callable[[Path], Tensors]


def choose_weights(source: str, names: Collection[str]) -> list[str]:
    """Choose the weight files that are read among the files of a model.

    The best format that it has, whole or an index and its shards: safetensors, Flax's
    msgpack, PyTorch's pickle.

    Raises:
      UserError: there are none, or none that can be read; it says what is there.
    """
    for form in _FORMATS:
        index = form.single + _INDEX
        if form.single not in names and index not in names:
            continue
        if form.read is _read_torch and not importlib.util.find_spec("torch"):
            raise UserError(
                f"'{source}' has no {_FORMATS[0].single}, only {form.single}, which "
                "PyTorch reads and which is not installed",
                "Run `pip install torch`, or convert the model where PyTorch is: "
                '`python -c "from transformers import CLIPModel, CLIPProcessor; '
                f"[c.from_pretrained('{source}').save_pretrained('DIR') "
                'for c in (CLIPModel, CLIPProcessor)]"`, and point at DIR.',
            )
        shards = [index, *fnmatch.filter(names, form.shards)]
        return [form.single] if form.single in names else shards
    raise UserError(*_missing(source, names))


def weight_files(directory: Path) -> list[Path]:
    """List the weight files of a model: one, or the shards that its index names.

    Raises:
      UserError: as `choose_weights`; or a shard is missing or outside the directory.
    """
    names = [
        path.relative_to(directory).as_posix()
        for pattern in ("*", "*/*")
        for path in directory.glob(pattern)
        if path.is_file()
    ]
    first = choose_weights(str(directory), names)[0]
    if not first.endswith(_INDEX):
        return [directory / first]
    shards = read_json(directory / first).get("weight_map")
    values = list(shards.values()) if isinstance(shards, dict) else []
    if not values or not all(isinstance(name, str) for name in values):
        raise UserError(f"'{directory / first}' names no weight shards", AGAIN)
    suffix = Path(first.removesuffix(_INDEX)).suffix
    for name in values:
        if Path(name).name != name or not name.endswith(suffix):
            what = f"'{directory / first}' names the shard {reprlib.repr(name)}, which"
            raise UserError(f"{what} is no {suffix} file of the model's folder", AGAIN)
    if missing := sorted(set(values).difference(names)):
        what = f"'{directory}' lacks the weight shards {', '.join(missing[:8])}"
        raise UserError(f"{what:.500} that {first} names", AGAIN)
    return [directory / name for name in sorted(set(values))]


def read_tensors(files: list[Path]) -> Tensors:
    """Read all tensors of weight files by their names in PyTorch, dtypes as stored."""
    tensors: Tensors = {}
    for path in files:
        form = next(f for f in _FORMATS if f.single.endswith(path.suffix))
        try:
            part = form.read(path)
        except (UserError, OSError):
            raise
        except Exception as error:  # depends on the library and on the damage
            reason = " ".join(f"{error}".split())[:300]
            what = f"'{path}' is not a readable weight file: {reason}"
            raise UserError(what, AGAIN) from error
        twice = sorted(tensors.keys() & part.keys())
        if twice:
            what = f"'{path}' holds {twice[0]}, which another shard holds too"
            raise UserError(what, AGAIN)
        tensors |= part
    return tensors


def _read_safetensors(path: Path) -> Tensors:
    with safetensors.safe_open(path, "numpy") as file:
        names = file.keys()
        dtypes = {file.get_slice(name).get_dtype() for name in names}
    if strange := sorted(x for x in dtypes if x.startswith(("F4", "F6", "F8"))):
        raise UserError(
            f"'{path}' holds weights in {', '.join(strange)}, and only "
            f"{', '.join(_DTYPES)} are read",
            "Use the model's weights in one of these.",
        )
    return safetensors.numpy.load_file(path)


def _read_flax(path: Path) -> Tensors:
    """Tensors of Flax's CLIP, by the names and in the layouts of PyTorch's."""
    tree = serialization.msgpack_restore(path.read_bytes())
    return dict(_as_torch(tree, ()))


def _as_torch(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _as_torch(value, (*path, str(name)))
        return
    tensor, last = np.asarray(tree), path[-1]
    if last == "kernel":
        tensor = tensor.transpose({2: (1, 0), 4: (3, 2, 0, 1)}[tensor.ndim])
    if last in ("kernel", "scale", "embedding"):
        last = "weight"
    yield ".".join([*path[:-1], last]), tensor


def _read_torch(path: Path) -> Tensors:
    import torch  # installed, or these weights would not have been chosen

    state = torch.load(path, map_location="cpu", weights_only=True)
    state = state.get("state_dict", state)  # of a trainer's checkpoint
    return {
        name: (t.float() if t.dtype == torch.bfloat16 else t).detach().numpy()
        for name, t in state.items()
    }


_FORMATS = (
    _Format("model.safetensors", "model-*-of-*.safetensors", _read_safetensors),
    _Format("flax_model.msgpack", "flax_model-*-of-*.msgpack", _read_flax),
    _Format("pytorch_model.bin", "pytorch_model-*-of-*.bin", _read_torch),
)


def _missing(source: str, names: Collection[str]) -> tuple[str, str]:
    """What a model without weights that are read has instead, and what to do."""
    top = sorted(name for name in names if "/" not in name)
    weights = [name for name in top if name.endswith(_SUFFIXES)]
    below = [
        str(PurePosixPath(name).parent)
        for name in sorted(names)
        if name.count("/") == 1 and name.endswith("/config.json")
    ]
    looked_for = (
        f"{', '.join(f.single for f in _FORMATS[:-1])} or {_FORMATS[-1].single}"
    )
    what = f"'{source}' has no {looked_for}"
    what += f", only {', '.join(weights[:8])}" if weights else ""
    if any(name.startswith("adapter_") for name in top):
        return what, (
            "This is an adapter, not a model: merge it into its CLIP with PEFT's "
            "merge_and_unload() and save_pretrained(), and give that directory."
        )
    if any(name.startswith("open_clip") for name in top):
        return what, (
            "This is a model in OpenCLIP's layout: give one in the layout of "
            "transformers, such as openai/clip-vit-base-patch32."
        )
    if below:
        return what, f"A model is in its folder '{below[0]}': give that folder's path."
    if any(name.endswith(".safetensors") for name in weights):
        return what, f"Rename the file that is meant to {_FORMATS[0].single}."
    return what, "Give the directory of a complete model."

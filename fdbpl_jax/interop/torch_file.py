"""Tensors in files of `torch.save`, read without PyTorch and without running anything.

Such a file is a zip archive of a pickle and of the tensors' values. The pickle names
functions to call; here a name either stands for a tensor or for nothing: what a trainer
keeps beside its tensors (a scheduler, NumPy numbers) is replaced by objects that do
nothing, and what a stranger may have put there, too.
"""

import io
import math
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from fdbpl_jax.errors import UserError

_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how files began before 1.6
_GIVE = "Give the model.pth.tar-N of a prompt_learner folder."
_DTYPES: Mapping[str, Any] = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": jnp.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
}


class Tensor(NamedTuple):
    """Where a tensor's values are in the file."""

    storage: tuple[Any, ...]  # PyTorch's: "storage", its type, key, device, count
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Nothing:
    """What stands in place of everything that is no tensor."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "_Nothing":
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __call__(self, *args: Any, **kwargs: Any) -> "_Nothing":
        return self

    def _ignore(self, *args: Any) -> None: ...

    __setstate__ = append = extend = add = __setitem__ = _ignore


class _Dict(dict):
    """In place of an OrderedDict; what else was set on it is dropped."""

    def __setstate__(self, state: Any) -> None: ...


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, *others: Any
) -> Tensor:
    return Tensor(storage, offset, shape, strides)


def _parameter(data: Any, *others: Any) -> Any:
    return data


class _Reader(pickle.Unpickler):
    """Looks nothing up: no name of a pickle is imported."""

    def find_class(self, module: str, name: str) -> Any:
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): _Dict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
        }
        if module == "torch" and name in _DTYPES:
            return name
        return known.get((module, name), _Nothing)

    def persistent_load(self, pid: Any) -> Any:
        return pid


def read_state(file: Path) -> dict[str, Float32[np.ndarray, "..."]]:
    """Read the tensors of a checkpoint's "state_dict" by name, as float32.

    Raises:
      UserError: the file cannot be read, is of another form, or its "state_dict" holds
        something else than tensors by name.
    """
    if not file.is_file():
        raise UserError(f"no tensors read from '{file}': there is no such file", _GIVE)
    try:
        with open(file, "rb") as opened:
            if opened.read(len(_LEGACY)) == _LEGACY:
                raise UserError(
                    f"'{file}' has the form of PyTorch before 1.6",
                    "Load it with PyTorch and save it again.",
                )
            with zipfile.ZipFile(opened) as archive:
                return _state(archive, str(file))
    except UserError:
        raise
    # What a broken or hostile file raises depends on where it is broken.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise UserError(
            f"no tensors read from '{file}', which is damaged or no file of "
            f"`torch.save`: {reason}",
            _GIVE,
        ) from error


def _state(archive: zipfile.ZipFile, file: str) -> dict[str, np.ndarray]:
    (name,) = [n for n in archive.namelist() if n.endswith("/data.pkl")]
    folder = name.removesuffix("/data.pkl")
    if f"{folder}/byteorder" in archive.namelist():
        order = _member(archive, f"{folder}/byteorder")
        if order != b"little":
            raise ValueError(f"its byte order is {order[:20]!r}")
    checkpoint = _Reader(io.BytesIO(_member(archive, name)), encoding="utf-8").load()
    state = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not state:
        raise UserError(
            f"'{file}' has no state_dict of tensors",
            _GIVE,
        )
    for key, tensor in state.items():
        if not isinstance(key, str) or not isinstance(tensor, Tensor):
            raise UserError(
                f"the state_dict of '{file}' holds {str(key)[:80]!r}, which is no name "
                "of a tensor that can be read",
                _GIVE,
            )
    return {key: _values(archive, folder, tensor) for key, tensor in state.items()}


def _values(
    archive: zipfile.ZipFile, folder: str, tensor: Tensor
) -> Float32[np.ndarray, "..."]:
    _, kind, key, _, _ = tensor.storage
    dtype = np.dtype(_DTYPES[kind])
    content = _member(archive, f"{folder}/data/{key}")
    if math.prod(tensor.shape) * dtype.itemsize > len(content):
        raise ValueError(f"{tensor.shape} values in {len(content)} bytes")
    # NumPy checks that all of it lies in the buffer.
    view = np.ndarray(
        tensor.shape,
        dtype,
        content,
        tensor.offset * dtype.itemsize,
        [stride * dtype.itemsize for stride in tensor.strides],
    )
    return view.astype(np.float32)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of a member; PyTorch compresses none, so none can blow up."""
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"'{name}' is compressed")
    return archive.read(name)

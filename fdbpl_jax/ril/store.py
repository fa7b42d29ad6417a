"""Arrays and small files of a table, in TensorStore.

A shard of an array holds one block of images, so a block's write is one whole file,
put in place by a rename. An inner chunk holds one region slot of all images of the
block, so reading a slot of many images is a short contiguous read.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from fdbpl_jax.errors import UserError

_CACHE_BYTES = 64_000_000  # shard indices above all
_CRC = {"name": "crc32c"}
_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))


def folder_path(folder: ts.KvStore) -> Path | None:
    """Locate the folder of an open table; None in an object store."""
    local = folder.spec().to_json()["driver"] == "file"
    return Path(folder.path) if local else None


def open_folder(path: str | Path) -> ts.KvStore:
    """Open the files of a table; `path` may be a URL such as gs://…."""
    text = str(path).removeprefix("file://")
    where: str | dict = f"{text.rstrip('/')}/"
    if "://" not in text:
        local = Path(os.path.expanduser(text)).absolute()
        where = {"driver": "file", "path": f"{local}/"}
    try:
        folder = ts.KvStore.open(where).result()
        if folder.spec().to_json()["driver"] == "memory":
            raise ValueError("it would be gone with this process")
        return folder
    # A path that is not UTF-8 raises a RuntimeError.
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"'{path}' is no place for a RIL table ({_reason(error)})",
            "Give a folder, or a URL that TensorStore knows.",
        ) from error


def read_file(folder: ts.KvStore, name: str) -> bytes | None:
    """Read a small file; None if there is none."""
    with store_errors(folder, name):
        result = folder.read(name).result()
        return bytes(result.value) if result.state == "value" else None


def write_file(folder: ts.KvStore, name: str, content: bytes | None) -> None:
    """Write a small file atomically; None removes it, if it is there."""
    with store_errors(folder, name):
        folder.write(name, content).result()


def write_new_file(folder: ts.KvStore, name: str, content: bytes) -> bytes:
    """Write a small file if there is none; return what is there in the end."""
    with store_errors(folder, name):
        present = folder.read(name).result()
        if present.state != "value":
            folder.write(name, content, if_equal=present.stamp.generation).result()
            present = folder.read(name).result()
        return bytes(present.value)


def open_array(
    folder: ts.KvStore, name: str, shape: tuple[int, ...], dtype: str, block: int = 0
) -> ts.TensorStore:
    """Open an array; given a block size in images per shard, create it when missing.

    Raises:
      UserError: it is missing, damaged, or has another shape or element type.
    """
    spec: dict[str, Any] = {
        "driver": "zarr3",
        "kvstore": (folder / f"{name}/").spec().to_json(),
        # A lost shard must not read as a shard full of the fill value.
        "fill_missing_data_reads": False,
        "store_data_equal_to_fill_value": True,
        "recheck_cached_data": "open",
    }
    if block:
        spec["metadata"] = _metadata(shape, dtype, block)
    context = ts.Context({"cache_pool": {"total_bytes_limit": _CACHE_BYTES}})
    with store_errors(folder, name):
        array = ts.open(spec, context=context, open=True, create=block > 0).result()
        stored = array.dtype.name, array.shape
        if stored != (dtype, shape):
            raise ValueError(f"Expected {dtype} {shape}, found {stored[0]} {stored[1]}")
    return array


def open_arrays(
    folder: ts.KvStore, shapes: Mapping[str, tuple[tuple, str]], block: int = 0
) -> dict[str, ts.TensorStore]:
    """Open several arrays by name, as `open_array` does."""
    return {name: open_array(folder, name, *shapes[name], block) for name in shapes}


def block_of(array: ts.TensorStore) -> int:
    """Count the images per shard of `array`."""
    layout: Any = array.chunk_layout
    return layout.write_chunk.shape[0]


def stored_blocks(folder: ts.KvStore, name: str) -> set[int]:
    """List the blocks whose shard of array `name` is there."""
    shards = folder / f"{name}/c/"
    with store_errors(folder, name):
        keys = [key.decode() for key in shards.list().result()]
    return {int(key.split("/")[0]) for key in keys if re.fullmatch(r"\d+(/0)+", key)}


def has_block(folder: ts.KvStore, name: str, block: int) -> bool:
    """Check whether the shard of a block of array `name` is there."""
    with store_errors(folder, name):
        return bool((folder / f"{name}/c/{block}/").list().result())


def write_block(
    folder: ts.KvStore,
    arrays: Mapping[str, ts.TensorStore],
    block: int,
    values: Mapping[str, np.ndarray],
) -> None:
    """Write a block's shard of every array in `values`, each atomically."""
    futures = {}
    for name, value in values.items():
        first = block * block_of(arrays[name])
        futures[name] = arrays[name][first : first + len(value)].write(value)
    for name, future in futures.items():
        with store_errors(folder, name):
            future.result()


@contextlib.contextmanager
def store_errors(folder: ts.KvStore, name: str) -> Iterator[None]:
    """Turn TensorStore's exceptions about `name` in `folder` into `UserError`s."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise _user_error(error, f"'{name}' of RIL table '{folder.path}'") from error


def _user_error(error: Exception, where: str) -> UserError:
    reason = _reason(error)
    if any(text in str(error) for text in _FULL):
        return UserError(
            f"the disk is full: {where} cannot be written",
            "Free some space and run again; finished blocks are kept.",
        )
    if "Expected" in reason:
        return UserError(
            f"{where} has another shape or layout ({reason})",
            "Delete the table's folder, or choose another, and build again.",
        )
    if reason.startswith(("DATA_LOSS", "NOT_FOUND")) and "os_error" not in reason:
        return UserError(
            f"{where} is damaged or incomplete ({reason})",
            "Delete the file named here, if it is there, and build again with the same "
            "settings: only what is missing is built again.",
        )
    what = f"{where} cannot be read or written ({reason})"
    return UserError(what, "Check the path and its permissions.")


def _reason(error: Exception) -> str:
    # TensorStore appends where in its own source an error arose.
    return re.split(r" \[(?:source|tensorstore)", str(error).splitlines()[0])[0][:400]


def _metadata(shape: tuple[int, ...], dtype: str, block: int) -> dict[str, Any]:
    shard = (block, *shape[1:])
    zstd = {"name": "zstd", "configuration": {"level": 3}}
    sharding = {
        "chunk_shape": (block, 1, *shape[2:]),
        "codecs": [{"name": "bytes"}, zstd, _CRC],
        "index_codecs": [{"name": "bytes"}, _CRC],
        "index_location": "end",
    }
    fill = {"float16": "NaN", "float32": "NaN", "bool": False}.get(dtype, 0)
    return {
        "shape": shape,
        "data_type": dtype,
        "fill_value": fill,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shard}},
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "dimension_names": ["image", "region", "value"][: len(shape)],
    }

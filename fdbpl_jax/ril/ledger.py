"""The state of a table under construction: its spec, its blocks and their claims."""

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import tensorstore as ts

from fdbpl_jax.errors import UserError
from fdbpl_jax.files import lock
from fdbpl_jax.ril import manifest, store
from fdbpl_jax.ril.spec import TableSpec, first_difference
from fdbpl_jax.ril.table import array_shapes, check_fits, images_per_block

_PATIENCE = 1800.0  # seconds without a finished block


def begin(folder: ts.KvStore, spec: TableSpec) -> None:
    """Record what is being built, so that nothing else is ever mixed in.

    Raises:
      UserError: another table is there, finished or not, naming the field that differs.
    """
    finished = manifest.read_manifest(folder)
    if finished is not None:
        same = _with_student_of(finished, spec)
        _refuse_other(folder, same, spec, "holds a RIL table")
        return
    recorded = store.read_file(folder, manifest.RECORD)
    if recorded is None and store.read_file(folder, "box/zarr.json") is not None:
        what = f"'{folder.path}' holds arrays of a RIL table, but no manifest"
        raise UserError(what, "Delete the folder, or choose another.")
    content = manifest.encode(spec)
    recorded = store.write_new_file(folder, manifest.RECORD, content)
    if recorded != content:
        begun = manifest.decode(recorded, f"{folder.path}{manifest.RECORD}")
        _refuse_other(folder, begun, spec, "holds an unfinished RIL table")


def open_arrays(folder: ts.KvStore, spec: TableSpec) -> dict[str, ts.TensorStore]:
    """Open the arrays of a table for writing; create them when missing."""
    shapes = array_shapes(spec, spec.student, spec.feature_width)
    block = images_per_block(spec)
    if store.read_file(folder, "box/zarr.json") is not None:
        # Another version may have cut its blocks another way.
        block = store.block_of(store.open_array(folder, "box", *shapes["box"]))
    return store.open_arrays(folder, shapes, block)


def missing_blocks(
    folder: ts.KvStore, spec: TableSpec, arrays: Mapping[str, ts.TensorStore]
) -> list[int]:
    """List the blocks that lack a shard of some array."""
    blocks = -(-len(spec.images) // store.block_of(arrays["box"]))
    stored = [store.stored_blocks(folder, name) for name in arrays]
    return [b for b in range(blocks) if not all(b in shards for shards in stored)]


def is_complete(folder: ts.KvStore, spec: TableSpec) -> bool:
    """Check a finished table for the features of `spec.student` and every shard."""
    if spec.student and manifest.read_feature_width(folder, spec.student) is None:
        return False
    shapes = array_shapes(spec, spec.student, spec.feature_width)
    return not missing_blocks(folder, spec, store.open_arrays(folder, shapes))


def find(folder: ts.KvStore, needed: TableSpec) -> TableSpec | None:
    """Find the spec of the finished table, with the needed features; None without one.

    Raises:
      UserError: the table does not fit, naming the field.
    """
    finished = manifest.read_manifest(folder)
    if finished is None:
        return None
    check_fits(finished, needed, folder.path)
    return _with_student_of(finished, needed)


def is_there(path: str | Path, needed: TableSpec) -> bool:
    """Check if the table at `path` needs no building; UserError if it does not fit."""
    folder = store.open_folder(path)
    finished = find(folder, needed)
    return finished is not None and is_complete(folder, finished)


def finish(folder: ts.KvStore, spec: TableSpec) -> None:
    """Turn a folder with every shard into a table; several builders may do so."""
    if spec.student and manifest.read_feature_width(folder, spec.student) is None:
        manifest.write_feature_manifest(folder, spec.student, spec.feature_width)
    if manifest.read_manifest(folder) is None:
        manifest.write_manifest(folder, spec)
    local = lock_folder(folder)
    if local is None:
        store.write_file(folder, manifest.RECORD, None)
    else:
        shutil.rmtree(local, ignore_errors=True)


def wait(folder: ts.KvStore, spec: TableSpec) -> None:
    """Wait for other processes; UserError if half an hour none finishes a block."""
    arrays = open_arrays(folder, spec)
    before, since = -1, time.monotonic()
    while not (manifest.read_manifest(folder) and is_complete(folder, spec)):
        left = len(missing_blocks(folder, spec, arrays))
        if left != before:
            before, since = left, time.monotonic()
        if time.monotonic() - since > _PATIENCE:
            raise UserError(
                f"no other process has finished a block of RIL table '{folder.path}' "
                f"for {_PATIENCE / 60:.0f} minutes; {left} blocks are missing",
                "Check the other processes, and start all of them again.",
            )
        time.sleep(1)


def lock_folder(folder: ts.KvStore) -> Path | None:
    """Locate the claims of this table's builders; None in an object store."""
    local = store.folder_path(folder)
    return local / "building" if local else None


def claim(folder: Path | None, block: int) -> contextlib.AbstractContextManager[bool]:
    """Try to claim a block while the context lasts, by a lock on a file in `folder`.

    Object stores have no locks (None); there every claim works, and each builder has
    its own share of the blocks.
    """
    if folder is None:
        return contextlib.nullcontext(True)
    return lock(folder / f"{block:06d}.lock")


def check_space(folder: ts.KvStore, need: int) -> None:
    """Refuse to begin what the disk cannot hold; `need` in bytes."""
    local = store.folder_path(folder)
    if local is None:
        return
    while not local.exists():
        local = local.parent
    free = shutil.disk_usage(local).free
    if need > free:
        raise UserError(
            f"RIL table '{folder.path}' needs up to {need / 1e6:,.1f} MB more, and "
            f"{free / 1e6:,.1f} MB are free there",
            "Free some space, choose another folder, or store fewer regions (regions) "
            "or labels (keep).",
        )


def _with_student_of(table: TableSpec, spec: TableSpec) -> TableSpec:
    # Features of any student can be added to a table.
    width = spec.feature_width
    return dataclasses.replace(table, student=spec.student, feature_width=width)


def _refuse_other(
    folder: ts.KvStore, other: TableSpec, spec: TableSpec, holds: str
) -> None:
    difference = first_difference(other, spec)
    if difference is not None:
        raise UserError(
            f"'{folder.path}' {holds} with {difference}",
            "Choose another folder, delete this one, or use its settings.",
        )

"""Records of the blocks of a table under construction, and how they become manifests.

A block counts as built when its record is there, which is written after its shards.
"""

import functools
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import tensorstore as ts

from fdbpl_jax.files.sealed import seal, unseal
from fdbpl_jax.ril import manifest, store
from fdbpl_jax.ril.digests import block_digest
from fdbpl_jax.ril.spec import TableSpec
from fdbpl_jax.ril.table import array_shapes

_BUILDING = "building/"  # folder of what is there while a table is built


class BlockRecord(msgspec.Struct):
    """What is known of a finished block of a table under construction."""

    block: int
    digests: dict[str, tuple[str, str]]  # by array, see `digests.block_digest`
    seconds: float  # since the process that built it finished the one before


NO_RECORD = BlockRecord(-1, {}, 0.0)


def write_block(
    folder: ts.KvStore,
    arrays: Mapping[str, ts.TensorStore],
    block: int,
    values: Mapping[str, np.ndarray],
    seconds: float,
) -> None:
    """Write a block's shard of every array in `values`, and then the record of it.

    Without a record it counts as missing. `seconds` were spent on it.
    """
    store.write_block(folder, arrays, block, values)
    digests = {name: block_digest(name, block, v) for name, v in values.items()}
    record = BlockRecord(block, digests, seconds)
    content = json.dumps(seal(msgspec.to_builtins(record))).encode()
    store.write_file(folder, _record_name(block), content)


def read_record(folder: ts.KvStore, block: int) -> BlockRecord:
    """Read the record of a block; one without arrays if there is none, or a bad one."""
    content = store.read_file(folder, _record_name(block))
    try:
        record = msgspec.convert(unseal(content or b""), BlockRecord)
    except (ValueError, msgspec.MsgspecError):
        return NO_RECORD
    return record if record.block == block else NO_RECORD


def read_records(folder: ts.KvStore) -> dict[int, BlockRecord]:
    """Read the records of all finished blocks, by block."""
    names = store.list_files(folder, _BUILDING)
    blocks = [int(n[: -len(".json")]) for n in names if re.fullmatch(r"\d+\.json", n)]
    with ThreadPoolExecutor() as pool:
        records = pool.map(functools.partial(read_record, folder), blocks)
        return dict(zip(blocks, records, strict=True))


def _record_name(block: int) -> str:
    return f"{_BUILDING}{block:06d}.json"


def finish(
    folder: ts.KvStore, spec: TableSpec, arrays: Mapping[str, ts.TensorStore]
) -> None:
    """Turn a folder with every shard into a table; several builders may do so.

    In a finished table, the digests of blocks that were built again take the place of
    the former ones.
    """
    records = read_records(folder)
    blocks = -(-len(spec.images) // store.block_of(arrays["box"]))
    table = manifest.read_manifest(folder)
    if spec.student:
        _finish_features(folder, spec, records, blocks, is_added=table is not None)
    former = table.digests if table else {}
    digests = {
        name: _merged(records, name, former.get(name, []) if table else None, blocks)
        for name in array_shapes(spec, "", 0)
    }
    known = {name: merged for name, merged in digests.items() if merged is not None}
    if len(known) == len(digests) and known != former:
        written = table or manifest.Manifest(spec, seconds=_seconds(records))
        written.digests = known
        manifest.write_manifest(folder, written)
    store.remove_folder(folder, _BUILDING)


def _finish_features(
    folder: ts.KvStore,
    spec: TableSpec,
    records: Mapping[int, BlockRecord],
    blocks: int,
    *,
    is_added: bool,
) -> None:
    """Write their manifest; of the time that they took, where they were added."""
    features = manifest.read_features(folder, spec.student)
    former = features.digests if features else None
    digests = _merged(records, manifest.feature_name(spec.student), former, blocks)
    if digests is None or digests == former:
        return
    if features is None:
        seconds = _seconds(records) if is_added else 0.0
        width = spec.feature_width
        features = manifest.FeatureManifest(spec.student, width, seconds=seconds)
    features.digests = digests
    manifest.write_features(folder, features)


def _seconds(records: Mapping[int, BlockRecord]) -> float:
    return sum(record.seconds for record in records.values())


def _merged(
    records: Mapping[int, BlockRecord],
    name: str,
    former: manifest.Digests | None,
    blocks: int,
) -> manifest.Digests | None:
    """The digests of an array by block; None where they are not to be written.

    That is of a table that has none, and where records are lost: another builder has
    removed them, after it has written the manifest.
    """
    if former == []:
        return None
    by_block = dict(enumerate(former or []))
    by_block |= {b: r.digests[name] for b, r in records.items() if name in r.digests}
    return [by_block[b] for b in range(blocks)] if len(by_block) == blocks else None

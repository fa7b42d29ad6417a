"""The manifest, which makes a folder of arrays a table. It is written last."""

import json
from typing import Any

import msgspec
import tensorstore as ts

from fdbpl_jax.errors import UserError
from fdbpl_jax.ril import store
from fdbpl_jax.ril.spec import TableSpec
from fdbpl_jax.sealed import SEAL, digest, parse, seal, unseal

MANIFEST = "manifest.json"
RECORD = "building/spec.json"  # the same, of an unfinished table
_FORMAT = "fdbpl_jax RIL table"
_SCHEMA = 3
_WITHOUT_DIGESTS = 2  # of blocks; read as before
_UNREADABLE = (msgspec.MsgspecError, ValueError, TypeError, KeyError, AttributeError)


Digests = list[tuple[str, str]]  # of `digests.block_digest`, by block


class Manifest(msgspec.Struct):
    """What a table is, and what its build left of itself."""

    spec: TableSpec
    digests: dict[str, Digests] = {}  # by array; without those of features
    seconds: float = 0.0  # that the build took, of all its processes; 0: not known


class FeatureManifest(msgspec.Struct):
    """The features of a student, and what their build left of itself."""

    student: str  # fingerprint
    feature_width: int  # D
    digests: Digests = []
    seconds: float = 0.0  # that they took after the table was built


def feature_name(student: str) -> str:
    """Name the array of a student's features."""
    return f"feature/{student}"


def write_manifest(folder: ts.KvStore, manifest: Manifest) -> None:
    """Turn a folder whose arrays are complete into a table."""
    store.write_file(folder, MANIFEST, encode(manifest))


def encode(manifest: Manifest) -> bytes:
    """Write a manifest, with a check sum."""
    values = manifest.spec.to_json()
    values["digests"] = manifest.digests
    values["build_seconds"] = manifest.seconds
    head = {"format": _FORMAT, "schema": _SCHEMA}
    return json.dumps(seal(head | values), indent=1).encode()


def decode(content: bytes, where: str) -> Manifest:
    """Read what `encode` wrote; UserError if it is incomplete or was changed."""
    try:
        values = parse(content)
        kind, schema, check = (values.pop(k) for k in ("format", "schema", SEAL))
        if schema != _WITHOUT_DIGESTS:
            intact = check == digest({"format": kind, "schema": schema} | values)
        else:
            intact = check == digest(values)
        if intact and kind == _FORMAT and schema in (_SCHEMA, _WITHOUT_DIGESTS):
            digests = msgspec.convert(values.pop("digests", {}), dict[str, Digests])
            seconds = float(values.pop("build_seconds", 0))
            return Manifest(TableSpec.from_json(values), digests, seconds)
    except _UNREADABLE as error:
        raise _bad(where, "it is incomplete") from error
    later = intact and schema not in (_SCHEMA, _WITHOUT_DIGESTS)
    reason = f"schema {schema}, not {_SCHEMA}" if later else "its check sum is wrong"
    raise _bad(where, reason)


def read_manifest(folder: ts.KvStore) -> Manifest | None:
    """Read the manifest of a finished table; None if there is none."""
    content = store.read_file(folder, MANIFEST)
    return None if content is None else decode(content, f"{folder.path}{MANIFEST}")


def write_features(folder: ts.KvStore, features: FeatureManifest) -> None:
    """Mark a student's features as complete."""
    content = json.dumps(seal(msgspec.to_builtins(features))).encode()
    store.write_file(folder, f"{feature_name(features.student)}/{MANIFEST}", content)


def read_features(folder: ts.KvStore, student: str) -> FeatureManifest | None:
    """Read the manifest of a student's features; None if they are not complete."""
    name = f"{feature_name(student)}/{MANIFEST}"
    content = store.read_file(folder, name)
    if content is None:
        return None
    try:
        values: Any = parse(content)
        # What version 0.1.0 wrote has no digest, and these two fields alone.
        if set(values) != {"student", "feature_width"}:
            values = unseal(content)
        features = msgspec.convert(values, FeatureManifest)
    except _UNREADABLE as error:
        raise _bad(f"{folder.path}{name}", "it is incomplete") from error
    if features.student != student:
        raise _bad(f"{folder.path}{name}", "it is of another student")
    return features


def students(folder: ts.KvStore) -> list[str]:
    """List the fingerprints of all students whose features are complete."""
    features = folder / "feature/"
    with store.store_errors(folder, "feature"):
        keys = [key.decode() for key in features.list().result()]
    return sorted(key.split("/")[0] for key in keys if key.endswith(f"/{MANIFEST}"))


def _bad(where: str, reason: str) -> UserError:
    what = f"the manifest '{where}' cannot be trusted: {reason}"
    return UserError(what, "Restore it, or delete the table's folder and build again.")

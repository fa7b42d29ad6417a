"""The manifest, which makes a folder of arrays a table. It is written last."""

import json

import msgspec
import tensorstore as ts

from fdbpl_jax.errors import UserError
from fdbpl_jax.ril import store
from fdbpl_jax.ril.spec import TableSpec, digest

MANIFEST = "manifest.json"
RECORD = "building/spec.json"  # the same, of an unfinished table
_FORMAT = "fdbpl_jax RIL table"
_SCHEMA = 2
_UNREADABLE = (msgspec.MsgspecError, ValueError, TypeError, KeyError, AttributeError)


class _FeatureManifest(msgspec.Struct):
    student: str  # fingerprint
    feature_width: int  # D


def feature_name(student: str) -> str:
    """Name the array of a student's features."""
    return f"feature/{student}"


def write_manifest(folder: ts.KvStore, spec: TableSpec) -> None:
    """Turn a folder whose arrays are complete into a table."""
    store.write_file(folder, MANIFEST, encode(spec))


def encode(spec: TableSpec) -> bytes:
    """Write a spec as a manifest, with a check sum."""
    values = spec.to_json()
    head = {"format": _FORMAT, "schema": _SCHEMA, "sha256": digest(values)}
    return json.dumps(head | values, indent=1).encode()


def decode(content: bytes, where: str) -> TableSpec:
    """Read what `encode` wrote; UserError if it is incomplete or was changed."""
    try:
        values = json.loads(content)
        kind, schema = values.pop("format"), values.pop("schema")
        intact = kind == _FORMAT and values.pop("sha256") == digest(values)
        if intact and schema == _SCHEMA:
            return TableSpec.from_json(values)
    except _UNREADABLE as error:
        raise _bad(where, "it is incomplete") from error
    reason = f"schema {schema}, not {_SCHEMA}" if intact else "its check sum is wrong"
    raise _bad(where, reason)


def read_manifest(folder: ts.KvStore) -> TableSpec | None:
    """Read the spec of a finished table; None if there is no manifest."""
    content = store.read_file(folder, MANIFEST)
    return None if content is None else decode(content, f"{folder.path}{MANIFEST}")


def write_feature_manifest(folder: ts.KvStore, student: str, width: int) -> None:
    """Mark a student's features as complete."""
    content = json.dumps({"student": student, "feature_width": width}).encode()
    store.write_file(folder, f"{feature_name(student)}/{MANIFEST}", content)


def read_feature_width(folder: ts.KvStore, student: str) -> int | None:
    """Read the width D of a student's features; None if they are not complete."""
    name = f"{feature_name(student)}/{MANIFEST}"
    content = store.read_file(folder, name)
    if content is None:
        return None
    try:
        values = msgspec.json.decode(content, type=_FeatureManifest)
    except msgspec.MsgspecError as error:
        raise _bad(f"{folder.path}{name}", "it is incomplete") from error
    if values.student != student:
        raise _bad(f"{folder.path}{name}", "it is of another student")
    return values.feature_width


def students(folder: ts.KvStore) -> list[str]:
    """List the fingerprints of all students whose features are complete."""
    features = folder / "feature/"
    with store.store_errors(folder, "feature"):
        keys = [key.decode() for key in features.list().result()]
    return sorted(key.split("/")[0] for key in keys if key.endswith(f"/{MANIFEST}"))


def _bad(where: str, reason: str) -> UserError:
    what = f"the manifest '{where}' cannot be trusted: {reason}"
    return UserError(what, "Restore it, or delete the table's folder and build again.")

"""The manifest: what makes a folder of arrays a table. It is written last."""

import json

import tensorstore as ts

from fdbpl_jax.errors import UserError
from fdbpl_jax.ril import store
from fdbpl_jax.ril.spec import TableSpec, digest

MANIFEST = "manifest.json"
RECORD = "building/spec.json"  # the same, of a table that is not finished
_FORMAT = "fdbpl_jax RIL table"
_SCHEMA = 2


def feature_name(student: str) -> str:
    """The array of a student's features."""
    return f"feature/{student}"


def write_manifest(folder: ts.KvStore, spec: TableSpec) -> None:
    """Makes a folder whose arrays are all there a table."""
    store.write_file(folder, MANIFEST, encode(spec))


def encode(spec: TableSpec) -> bytes:
    """The bytes of a manifest: a spec, with a check sum."""
    values = spec.to_json()
    whole = {"format": _FORMAT, "schema": _SCHEMA, "sha256": digest(values), **values}
    return json.dumps(whole, indent=1).encode()


def decode(content: bytes, where: str) -> TableSpec:
    """The spec of `encode`; UserError if it is not whole."""
    try:
        values = json.loads(content)
        kind, schema = values.pop("format"), values.pop("schema")
        whole = kind == _FORMAT and values.pop("sha256") == digest(values)
        if whole and schema == _SCHEMA:
            return TableSpec.from_json(values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _bad(where, "it is not whole") from error
    reason = f"schema {schema}, not {_SCHEMA}" if whole else "its check sum is wrong"
    raise _bad(where, reason)


def read_manifest(folder: ts.KvStore) -> TableSpec | None:
    """The spec of a finished table; None if there is no manifest."""
    content = store.read_file(folder, MANIFEST)
    return None if content is None else decode(content, f"{folder.path}{MANIFEST}")


def write_feature_manifest(folder: ts.KvStore, student: str, width: int) -> None:
    """Marks a student's features as complete."""
    content = json.dumps({"student": student, "feature_width": width}).encode()
    store.write_file(folder, f"{feature_name(student)}/{MANIFEST}", content)


def read_feature_width(folder: ts.KvStore, student: str) -> int | None:
    """D of a student whose features are all there; None if they are not."""
    name = f"{feature_name(student)}/{MANIFEST}"
    content = store.read_file(folder, name)
    if content is None:
        return None
    try:
        values = json.loads(content)
        found, width = values["student"], int(values["feature_width"])
    except (ValueError, TypeError, KeyError) as error:
        raise _bad(f"{folder.path}{name}", "it is not whole") from error
    if found != student:
        raise _bad(f"{folder.path}{name}", "it is of another student")
    return width


def students(folder: ts.KvStore) -> list[str]:
    """Fingerprints of all students whose features are all there."""
    features = folder / "feature/"
    with store.store_errors(folder, "feature"):
        keys = [key.decode() for key in features.list().result()]
    return sorted(key.split("/")[0] for key in keys if key.endswith(f"/{MANIFEST}"))


def _bad(where: str, reason: str) -> UserError:
    return UserError(
        f"the manifest '{where}' cannot be trusted: {reason}",
        "Restore it, or delete the table's folder and build again.",
    )

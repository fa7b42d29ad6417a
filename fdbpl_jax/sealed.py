"""Digests of what is kept: a file that was changed or put elsewhere is told from it.

What is sealed is JSON with its own SHA-256 in the field "sha256".
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SEAL = "sha256"


def digest(values: Any) -> str:
    """Hash JSON values, whatever the order of their keys: SHA-256 in hex."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(file: Path) -> str:
    """Hash the content of a file: SHA-256 in hex; empty if it cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""


def folder_digest(folder: Path) -> str:
    """Hash the names and contents of all files of a folder: SHA-256 in hex."""
    files = sorted(file for file in folder.rglob("*") if not file.is_dir())
    return digest([[f.relative_to(folder).as_posix(), file_digest(f)] for f in files])


def seal(values: Mapping[str, Any]) -> dict[str, Any]:
    """Add the digest to JSON values that lack one."""
    return {**values, SEAL: digest(values)}


def parse(content: str | bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
      ValueError: it is none.
    """
    try:
        values = json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    return values


def unseal(content: str | bytes) -> dict[str, Any]:
    """Read JSON that was sealed; the values without their digest.

    Raises:
      ValueError: it is no such JSON, or it was changed since.
    """
    values = parse(content)
    if values.pop(SEAL, None) != digest(values):
        raise ValueError("its check sum is wrong")
    return values


def unseal_if_sealed(content: str | bytes) -> dict[str, Any]:
    """Read JSON that may be of an earlier version, which wrote no digests.

    Raises:
      ValueError: as `unseal`.
    """
    values = parse(content)
    return unseal(content) if SEAL in values else values

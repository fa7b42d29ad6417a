"""The CLIPs of a classifier: how its files name them, and where they are now."""

import re
from pathlib import Path

import msgspec

from fdbpl_jax.clip.hub import is_hub_id, locate
from fdbpl_jax.clip.model import Clip, cast, load_clip
from fdbpl_jax.device import tower_dtype
from fdbpl_jax.errors import UserError
from fdbpl_jax.shapes import embedded

_EMBEDDED = ("student", "teacher")
_COMMIT = re.compile("[0-9a-f]{40}")


class Source(msgspec.Struct, frozen=True):
    """A CLIP that a file names."""

    name: str  # a hub id, "embedded student", a path (a cell's), or a folder's name
    sha256: str  # its fingerprint
    revision: str = ""  # commit on the hub, where that is known


def portable(source: Source) -> Source:
    """The source as a file may name it that goes to other machines: without a path."""
    path = Path(source.name).expanduser()
    for role in _EMBEDDED:
        if path == embedded(role):
            return Source(f"embedded {role}", source.sha256)
    if path.is_dir() or not is_hub_id(source.name):
        return Source(path.name, source.sha256)
    name, _, revision = source.name.partition("@")
    return Source(name, source.sha256, revision)


def pinned(source: Source) -> Source:
    """The portable source with the commit that was read of a branch or tag."""
    named = portable(source)
    if not is_hub_id(named.name):
        return named
    # The hub's cache keeps a revision in a folder that is named by its commit.
    commit = locate(source.name).name
    is_commit = _COMMIT.fullmatch(commit) is not None
    return Source(named.name, named.sha256, commit) if is_commit else named


def load_source(
    role: str, source: Source, given: str, dtype: str, is_portable: bool
) -> Clip:
    """Load the CLIP of a role and compare its fingerprint.

    Args:
      role: "student" or "teacher".
      source: as the file names it.
      given: where it is now, as the user says; empty: where the file says.
      dtype: of the towers; empty: the device's.
      is_portable: the file may be anybody's: a path in it is not followed.

    Raises:
      UserError: there is none, or it is another one.
    """
    clip = load_clip(given) if given else _named(role, source, is_portable)
    if clip.fingerprint != source.sha256:
        raise UserError(
            f"'{clip.name}' is another {role} than the export's, '{source.name}' "
            f"(fingerprint {source.sha256:.12})",
            f"Set --{role} to that one or where it is now.",
        )
    return cast(clip, tower_dtype(dtype))


def _named(role: str, source: Source, is_portable: bool) -> Clip:
    for which in _EMBEDDED:
        if source.name == f"embedded {which}":
            return load_clip(str(embedded(which)))
    who = f"{role} '{source.name}' (fingerprint {source.sha256:.12})"
    if is_portable and not is_hub_id(source.name):
        raise UserError(
            f"the classifier needs its {who}, which was a folder where it was made",
            f"Set --{role} to that folder.",
        )
    at = f"@{source.revision}" if source.revision else ""
    try:
        return load_clip(source.name + at, only_hub=is_portable)
    except UserError as error:
        raise UserError(
            f"the {who} is not where it was: {error.what}",
            f"{error.do} Set --{role} to where it is now.".lstrip(),
        ) from error

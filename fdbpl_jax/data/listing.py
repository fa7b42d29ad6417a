"""Lists of images in folders, kept beside them so that a large one is listed once.

Listing ImageNet's 1.3 million files costs seconds on a local disk and many minutes on a
network one. The kept list is JSON with relative names, so it can move with its folder;
a class folder that was changed since (by its modification time) is listed again.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from absl import logging

from fdbpl_jax.data.types import first_few
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import write_text

_TYPES = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif", "ppm")
IMAGE_SUFFIXES = tuple(f".{name}" for name in _TYPES)
_PLAIN = rf"(?i)\A[^/\\]*\.({'|'.join(_TYPES)})\Z"  # name of an image, not a path


class _Folder(msgspec.Struct):
    """A class folder as it was listed."""

    mtime_ns: int
    images: list[Annotated[str, msgspec.Meta(pattern=_PLAIN)]]


def folder_names(folder: Path) -> list[str]:
    """The names of the folders in `folder`, sorted; hidden ones left out.

    Raises:
      UserError: it cannot be listed, or holds a link to a place outside of it.
    """
    return sorted(entry.name for entry in _entries(folder) if entry.is_dir())


def image_names(folder: Path) -> list[str]:
    """The names of the images directly in `folder`, sorted; hidden ones left out.

    Folders and files of other types are left out too, with a logged warning.

    Raises:
      UserError: it cannot be listed, or holds a link to a place outside of it.
    """
    entries = _entries(folder)
    images = [
        entry.name
        for entry in entries
        if not entry.is_dir() and entry.name.lower().endswith(IMAGE_SUFFIXES)
    ]
    others = sorted({entry.name for entry in entries} - set(images))
    if others:
        logging.warning(
            "'%s': ignored %d entries that are no images: %s",
            *(folder, len(others), first_few(others)),
        )
    return sorted(images)


def class_folders(
    root: Path, names: Sequence[str], record: Path
) -> dict[str, list[str]]:
    """List the images in each of several class folders.

    Args:
      names: of the class folders in `root`.
      record: the file of the list, written when a folder was listed anew; a place that
        cannot be written to is no error.

    Raises:
      UserError: folders cannot be listed, or hold no image.
    """
    known, folders = _read(record), {}
    for name in names:
        try:
            stamp = (root / name).stat().st_mtime_ns
        except OSError as error:
            raise _unlisted(root / name, error) from error
        folder = known.get(name)
        if folder is None or folder.mtime_ns != stamp:
            folder = _Folder(stamp, image_names(root / name))
        folders[name] = folder
    if empty := [name for name, folder in folders.items() if not folder.images]:
        raise UserError(
            f"{len(empty)} class folders in '{root}' hold no image: {first_few(empty)}",
            "Unpack the whole archive there again.",
        )
    if any(known.get(name) is not folder for name, folder in folders.items()):
        _write(record, folders)
    return {name: folder.images for name, folder in folders.items()}


def _read(record: Path) -> dict[str, _Folder]:
    try:
        # Not msgspec's own reader: a file name need not be valid Unicode.
        return msgspec.convert(json.loads(record.read_bytes()), dict[str, _Folder])
    except (OSError, ValueError):
        return {}  # missing, or not ours: everything is listed anew


def _write(record: Path, folders: dict[str, _Folder]) -> None:
    try:
        write_text(record, json.dumps(msgspec.to_builtins(folders)))
    except UserError as error:
        logging.info("the list of images is not kept: %s", error.what)


def inside(root: Path, path: Path) -> bool:
    """Whether `path`, with all links followed, lies in `root`."""
    real = os.path.realpath(root)
    return Path(os.path.realpath(path)).is_relative_to(real)


def _entries(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            shown = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise _unlisted(folder, error) from error
    links = [entry for entry in shown if entry.is_symlink()]
    outside = sorted(e.name for e in links if not inside(folder, Path(e.path)))
    if outside:
        raise UserError(
            f"'{folder}' holds {len(outside)} links to places outside of it: "
            f"{first_few(outside)}",
            "Put the files themselves there, or set the data root to where they are.",
        )
    return shown


def _unlisted(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot list the folder '{folder}' ({error.strerror or error})",
        "Put it there, readable, or leave it out of the list that names it.",
    )

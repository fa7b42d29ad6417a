"""Lists of folders of images, kept beside them so that a large one is listed once.

Listing ImageNet's 1.3 million files costs seconds on a local disk and many minutes on a
network one. The kept list is JSON with relative names, so it can move with its folder;
a class folder that was changed since (by its modification time) is listed again.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import logging

from fdbpl_jax.data.types import first_few
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import write_text

IMAGE_SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".bmp",
    ".tif",
    ".tiff",
    ".gif",
    ".ppm",
)


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


def class_folders(root: Path, names: Sequence[str], kept: Path) -> dict[str, list[str]]:
    """The images in each of several class folders, by folder.

    Args:
      root: the folder that holds the class folders.
      names: of the class folders.
      kept: the file of the list, written when something was listed anew; a place that
        cannot be written to is no error.

    Raises:
      UserError: folders cannot be listed, or hold no image.
    """
    known, listed, changed = _read(kept), {}, False
    for name in names:
        own = known.get(name, {})
        try:
            stamp = (root / name).stat().st_mtime_ns
        except OSError as error:
            raise _unlisted(root / name, error) from error
        fresh = own.get("mtime_ns") != stamp
        images = image_names(root / name) if fresh else own["images"]
        changed |= fresh
        listed[name] = {"mtime_ns": stamp, "images": images}
    if empty := [name for name, own in listed.items() if not own["images"]]:
        raise UserError(
            f"{len(empty)} class folders in '{root}' hold no image: {first_few(empty)}",
            "Unpack the whole archive there again.",
        )
    if changed:
        _keep(kept, listed)
    return {name: own["images"] for name, own in listed.items()}


def _read(kept: Path) -> dict[str, Any]:
    try:
        content = json.loads(kept.read_bytes())
        for own in content.values():
            _ = own["mtime_ns"], [_plain(name) for name in own["images"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}  # missing, or not ours: everything is listed anew
    return content


def _plain(name: str) -> None:
    if not name.lower().endswith(IMAGE_SUFFIXES) or "/" in name or "\\" in name:
        raise ValueError(name)


def _keep(kept: Path, listed: dict[str, Any]) -> None:
    try:
        write_text(kept, json.dumps(listed))
    except UserError as error:
        logging.info("the list of images is not kept: %s", error.what)


def inside(root: Path, path: Path) -> bool:
    """Whether `path`, with all links followed, lies in `root`."""
    real = os.path.realpath(root)
    return Path(os.path.realpath(path)).is_relative_to(real)


def _entries(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise _unlisted(folder, error) from error
    links = [entry for entry in found if entry.is_symlink()]
    outside = sorted(e.name for e in links if not inside(folder, Path(e.path)))
    if outside:
        raise UserError(
            f"'{folder}' holds {len(outside)} links to places outside of it: "
            f"{first_few(outside)}",
            "Put the files themselves there, or set the data root to where they are.",
        )
    return found


def _unlisted(folder: Path, error: OSError) -> UserError:
    reason = error.strerror or error
    return UserError(
        f"cannot list the folder '{folder}' ({reason})",
        "Put it there, readable, or leave it out of the list that names it.",
    )

"""Lists of images in folders, kept beside them so that a large one is listed once.

Listing ImageNet's 1.3 million files costs seconds on a local disk and many minutes on a
network one. The kept list is JSON with relative names, so it can move with its folder;
a class folder that was changed since (by its modification time) is listed again.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from absl import logging

from fdbpl_jax.data.images import fault_of
from fdbpl_jax.data.types import Example, first_few
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import write_bytes

_TYPES = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif", "ppm")
IMAGE_SUFFIXES = tuple(f".{name}" for name in _TYPES)  # others: by their first bytes
_PLAIN = r"\A[^/\\.][^/\\]*\Z"  # a name, not a path
_JUNK = {  # folders of archives, file servers, disks and interpreters
    *("__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information"),
    *("lost+found", "__pycache__"),
}


class _Folder(msgspec.Struct):
    """A class folder as it was listed."""

    mtime_ns: int
    images: list[Annotated[str, msgspec.Meta(pattern=_PLAIN)]]


def folder_names(folder: Path) -> list[str]:
    """The names of the folders in `folder`, sorted; links to folders are followed.

    Hidden ones and those of archives and file servers are left out, with a logged
    warning.

    Raises:
      UserError: it cannot be listed, or holds a dangling link or a name that is not
        UTF-8.
    """
    entries = _entries(folder)
    links = [e for e in entries if e.is_symlink() and not e.name.startswith(".")]
    if lost := [link.name for link in links if not os.path.exists(link)]:
        raise UserError(
            f"'{folder}' holds {len(lost)} links to nothing: {first_few(sorted(lost))}",
            "Mend or remove them.",
        )
    names = {entry.name for entry in entries if entry.is_dir()}
    left_out = {name for name in names if name.startswith(".")} | (names & _JUNK)
    if left_out:
        logging.warning(
            "'%s': left out %d folders that are hidden or of no class: %s",
            *(folder, len(left_out), first_few(sorted(left_out))),
        )
    return sorted(names - left_out)


def image_names(root: Path, folders: Sequence[str]) -> dict[str, list[str]]:
    """The names of the images directly in each of the folders in `root`, sorted.

    Images are known by their suffix or, with another or none, by their first bytes.
    Folders and files of other kinds are left out, with a logged warning; hidden ones
    without.

    Raises:
      UserError: a folder cannot be listed, or holds a name that is not UTF-8, or a
        pipe, socket, device or dangling link named like an image.
    """
    images: dict[str, list[str]] = {}
    others: list[str] = []
    for folder in folders:
        images[folder] = []
        for entry in sorted(_entries(root / folder), key=lambda entry: entry.name):
            if _is_image(root / folder, entry):
                images[folder].append(entry.name)
            elif not entry.name.startswith(".") and entry.name not in _JUNK:
                others.append(f"{folder}/{entry.name}")
    if others:
        logging.warning(
            "'%s': ignored %d entries that are no images: %s",
            *(root, len(others), first_few(others)),
        )
    return images


def images_below(folder: Path) -> list[str]:
    """The paths, relative to the folder, of all images in it and in folders below.

    In order; hidden files and folders are left out.

    Raises:
      UserError: as `image_names`.
    """
    folders = []
    for path, names, _ in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        folders.append(os.path.relpath(path, folder))
    images = image_names(folder, folders)
    return [str(Path(place, name)) for place in folders for name in images[place]]


def _is_image(folder: Path, entry: os.DirEntry) -> bool:
    if entry.name.startswith(".") or entry.is_dir():
        return False
    named = entry.name.lower().endswith(IMAGE_SUFFIXES)
    if named and not entry.is_file():
        raise UserError(
            f"'{folder / entry.name}' is named like an image, and is a pipe, socket, "
            "device or a link to nothing",
            "Remove it, or put an image there.",
        )
    return named or not fault_of(folder / entry.name)


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
    known, folders, changed = _read(record), {}, {}
    for name in names:
        try:
            stamp = (root / name).stat().st_mtime_ns
        except OSError as error:
            raise _unlisted(root / name, error) from error
        folder = known.get(name)
        if folder is None or folder.mtime_ns != stamp:
            changed[name] = stamp
        else:
            folders[name] = folder
    if changed:
        for name, images in image_names(root, list(changed)).items():
            folders[name] = _Folder(changed[name], images)
        _write(record, folders)
    if empty := [name for name in names if not folders[name].images]:
        raise UserError(
            f"{len(empty)} class folders in '{root}' hold no image: {first_few(empty)}",
            "Unpack the whole archive there again.",
        )
    return {name: folder.images for name, folder in folders.items()}


def labelled(
    images: Mapping[str, Sequence[str]], names: Sequence[str], split: str = ""
) -> tuple[Example, ...]:
    """Label the images in class folders, in the order of the class names.

    `images` are by the name of their folder, which is in the split's folder, if any.
    """
    place = f"{split}/" if split else ""
    return tuple(
        Example(f"{place}{name}/{image}", label)
        for label, name in enumerate(names)
        for image in images.get(name, ())
    )


def _read(record: Path) -> dict[str, _Folder]:
    try:
        return msgspec.json.decode(record.read_bytes(), type=dict[str, _Folder])
    except (OSError, ValueError):
        return {}  # missing, or not ours: everything is listed anew


def _write(record: Path, folders: dict[str, _Folder]) -> None:
    try:
        write_bytes(record, msgspec.json.encode(folders))
    except UserError as error:
        logging.info("the list of images is not kept: %s", error.what)


def refuse_bytes(where: Path, names: Sequence[str]) -> None:
    """Refuse names that are not UTF-8: no report or table could hold them."""
    odd = [os.fsencode(name) for name in names if not _is_text(name)]
    if odd:
        raise UserError(
            f"'{where}' has {len(odd)} names that are not UTF-8: {first_few(odd)}",
            "Rename them, such as with 'convmv -r -f latin1 -t utf8 --notest'.",
        )


def _is_text(name: str) -> bool:
    return name.encode(errors="ignore").decode() == name


def _entries(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            listed = list(entries)
    except OSError as error:
        raise _unlisted(folder, error) from error
    shown = [entry.name for entry in listed if not entry.name.startswith(".")]
    refuse_bytes(folder, shown)
    return listed


def _unlisted(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot list the folder '{folder}' ({error.strerror or error})",
        "Put it there, readable, or leave it out of the list that names it.",
    )

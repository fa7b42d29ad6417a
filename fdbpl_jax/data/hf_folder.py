"""Data sets in a folder of Hugging Face `datasets`, an optional extra.

The rest of the program reads image files by path, so the images are written once, byte
for byte, with a split file in CoOp's form. After that the library is not needed.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
from absl import logging

from fdbpl_jax.data.hf_rows import open_splits, write_images
from fdbpl_jax.data.listed_files import check_files
from fdbpl_jax.data.split_file import parts_named, read_split
from fdbpl_jax.data.splits import TEMPLATE
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import open_file, write_folder

FOLDER = "fdbpl_jax_images"
SAVED = ("dataset_dict.json", "state.json")  # one of them is in such a folder
_SPLIT_FILE, _MARKER = "split.json", "export.json"
_VERSION = 1  # of what is written; another one makes old folders stale


class _Splits(msgspec.Struct):
    splits: Annotated[list[str], msgspec.Meta(min_length=1)]


class _File(msgspec.Struct):
    # A name, not a path: what is written there must not lead out of the folder.
    filename: Annotated[str, msgspec.Meta(pattern=r"\A[^/\\.][^/\\]*\Z")]


class _State(msgspec.Struct):
    data_files: list[_File] = msgspec.field(name="_data_files")


def read_hf(
    folder: Path, template: str = TEMPLATE, image: str = "", label: str = ""
) -> Dataset:
    """Read a folder that `save_to_disk` of Hugging Face `datasets` made.

    Its images are in "fdbpl_jax_images" in it, as <split>/<class>/<number>.<suffix>,
    written when they are missing or the data have changed. Splits have the names of
    `PART_OF`; where there is no "test", see `with_test`.

    The classes are in the order of their labels.

    Args:
      template: the prompt of the data set, "{}" for the class.
      image, label: the columns; empty: the only one there is.

    Raises:
      UserError: `folder` is no such folder or names files outside of it; columns are
        missing or ambiguous; an image is missing, unlabelled or unreadable; classes are
        too small or read the same in a prompt; the library is not installed; nothing
        can be written there; images written before are missing.
    """
    folder = Path(os.path.expanduser(folder)).absolute()
    splits, source = _described(folder)
    marker = {"version": _VERSION, "source": source, "image": image, "label": label}
    images = folder / FOLDER

    def write(into: Path) -> None:
        logging.info("writing the images of '%s' out as files, once", folder)
        if images.exists():
            logging.info("'%s' is out of date and is written again", images)
        rows = write_images(folder, open_splits(folder, splits, image, label), into)
        (into / _SPLIT_FILE).write_text(json.dumps(rows), encoding="utf-8")
        (into / _MARKER).write_text(json.dumps(marker), encoding="utf-8")

    if not _up_to_date(images, marker):
        try:
            write_folder(images, write, lambda: _up_to_date(images, marker))
        except OSError as error:
            raise UserError(
                f"cannot write the images of '{folder}' ({error.strerror or error})",
                "Make room or allow writing there, or use a copy of the folder.",
            ) from error
    split_file = images / _SPLIT_FILE
    class_names, parts = read_split(split_file, str)
    try:
        check_files(split_file, images, [e for part in parts.values() for e in part])
    except UserError as error:
        do = f"Remove the folder '{images}': the next run writes the images again."
        raise UserError(error.what, do) from error
    return Dataset(folder.name, images, class_names, template, **parts)


def _described(folder: Path) -> tuple[dict[str, Path], str]:
    """The folder of each split, and a hash of what `datasets` says of the data."""
    # Its own fingerprint of the data is in what it says. The sizes of the data files
    # are hashed, too: they may have been copied over.
    splits = {"train": folder}
    digest = hashlib.sha256()
    try:
        if not (folder / SAVED[1]).is_file():
            listed = _content(folder / SAVED[0])
            names = msgspec.json.decode(listed, type=_Splits).splits
            parts_named(folder, names)  # none of which leads out of the folder
            splits = {name: folder / name for name in names}
        for name, split in splits.items():
            state = _content(split / "state.json")
            info = _content(split / "dataset_info.json")
            files = msgspec.json.decode(state, type=_State).data_files
            sizes = [(f.filename, (split / f.filename).stat().st_size) for f in files]
            digest.update(repr((name, state, info, sizes)).encode())
    except (OSError, msgspec.DecodeError) as error:
        what = f"'{folder}' names no split or no data file ({error})"
        if isinstance(error, OSError):
            what = f"cannot read '{error.filename}' ({error.strerror or error})"
        raise UserError(
            what,
            "Expected a folder made by `dataset.save_to_disk(folder)`; a data set of "
            "the hub becomes one: `datasets.load_dataset(name).save_to_disk(folder)`.",
        ) from error
    return splits, digest.hexdigest()


def _content(file: Path) -> bytes:
    with open_file(file) as stream:
        return stream.read()


def _up_to_date(images: Path, marker: dict[str, Any]) -> bool:
    if not images.exists():
        return False
    try:
        return json.loads((images / _MARKER).read_bytes()) == marker
    except (OSError, ValueError) as error:
        raise UserError(
            f"'{images}' is there and is not a folder of exported images",
            "Move it away: images are to be written to this place.",
        ) from error

"""Images of a Hugging Face `datasets` folder, written out as files, once.

The rest of the program reads image files: by path it draws shots, and by path a RIL
table knows its rows. What is written is a folder of images and a split file in CoOp's
form beside them. The library is needed to write it, and not to read it again.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import logging

from fdbpl_jax.data.hf_rows import Source, open_splits, write_images
from fdbpl_jax.data.listing import inside
from fdbpl_jax.data.split_file import SPLITS, Row
from fdbpl_jax.data.splits import split_classes
from fdbpl_jax.errors import UserError

FOLDER = "fdbpl_jax_images"
SPLIT_FILE = "split.json"
_MARKER = "export.json"
_VERSION = 1  # of what is written; another one makes old folders stale
_DO_SAVE = (
    "Expected a folder made by `dataset.save_to_disk(folder)`; a data set of the hub "
    "becomes one with `datasets.load_dataset(name).save_to_disk(folder)`."
)


def export_images(folder: Path, image: str, label: str) -> Path:
    """The folder of a `datasets` folder's images, written when missing or out of date.

    Images are written byte for byte. A split named "validation", "valid" or "dev" is
    "val". If there is no "test", "val" takes its place; of a lone "train" each class is
    split as `split_folder` does it.

    Args:
      folder: made by `save_to_disk`.
      image: the column of the images; empty: the only one there is.
      label: the column of the classes; empty: the only one there is.

    Returns:
      The folder "fdbpl_jax_images" in `folder`, with images in <split>/<class>/ and
      the split file `SPLIT_FILE`.

    Raises:
      UserError: `folder` is no such folder or holds links out of it; columns are
        missing or ambiguous; an image has no bytes, no label or is none; classes are
        too small or read the same in a prompt; the library is not installed; nothing
        can be written there.
    """
    splits = _split_folders(folder)
    marker = {
        "version": _VERSION,
        "source": _fingerprint(folder, splits),
        "image": image,
        "label": label,
    }
    made = folder / FOLDER
    held = _held(made)
    if held == marker:
        return made
    if held is not None:
        logging.info("'%s' is out of date and is written again", made)
    source = open_splits(folder, splits, image, label)
    temporary = folder / f".{FOLDER}.{os.getpid()}.tmp"
    try:
        _write(temporary, source, marker)
        _put(temporary, made, marker)
    except OSError as error:
        raise UserError(
            f"cannot write the images of '{folder}' ({error.strerror or error})",
            "Make room or allow writing there, or use a copy of the folder.",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return made


def _split_folders(folder: Path) -> dict[str, Path]:
    """The folder of each split; a lone `Dataset` is "train"."""
    if (folder / "state.json").is_file():
        return {"train": folder}
    listed = _json(folder, folder / "dataset_dict.json").get("splits")
    if not isinstance(listed, list) or not listed:
        raise UserError(f"'{folder}/dataset_dict.json' names no split", _DO_SAVE)
    return {str(name): folder / str(name) for name in listed}


def _fingerprint(folder: Path, splits: dict[str, Path]) -> str:
    """A hash of what `datasets` says of the data, which has its own fingerprint in it.

    The sizes of the data files are in it, too: they may have been copied over.
    """
    digest = hashlib.sha256()
    for split, own in splits.items():
        state = _json(folder, own / "state.json")
        info = _read(folder, own / "dataset_info.json").decode(errors="replace")
        try:
            paths = [own / str(file["filename"]) for file in state["_data_files"]]
            sizes = [
                (path.name, _inside(folder, path).stat().st_size) for path in paths
            ]
        except (KeyError, TypeError) as error:
            raise UserError(
                f"'{own}/state.json' names no data files", _DO_SAVE
            ) from error
        except OSError as error:
            raise _unreadable(own, error) from error
        digest.update(json.dumps([split, state, info, sizes]).encode())
    return digest.hexdigest()


def _json(folder: Path, file: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read(folder, file))
    except (ValueError, RecursionError) as error:
        raise UserError(f"'{file}' is not JSON ({error})", _DO_SAVE) from error
    if not isinstance(content, dict):
        raise UserError(f"'{file}' is not a JSON object", _DO_SAVE)
    return content


def _read(folder: Path, file: Path) -> bytes:
    try:
        return _inside(folder, file).read_bytes()
    except OSError as error:
        raise _unreadable(file, error) from error


def _inside(folder: Path, file: Path) -> Path:
    if not inside(folder, file):
        raise UserError(
            f"'{file}' lies outside '{folder}'", "Put the file itself there."
        )
    return file


def _unreadable(file: Path, error: OSError) -> UserError:
    return UserError(f"cannot read '{file}' ({error.strerror or error})", _DO_SAVE)


def _held(made: Path) -> dict[str, Any] | None:
    """The marker of the folder that is there; None if there is no folder."""
    if not made.exists():
        return None
    try:
        return dict(json.loads((made / _MARKER).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"'{made}' is there and is not a folder of exported images",
            "Move it away: images are to be written to this place.",
        ) from error


def _write(temporary: Path, source: Source, marker: dict[str, Any]) -> None:
    logging.info("writing the images of '%s' out as files, once", source.folder)
    rows = write_images(source, temporary)
    content = json.dumps(_parts(source, rows))
    (temporary / SPLIT_FILE).write_text(content, encoding="utf-8")
    (temporary / _MARKER).write_text(json.dumps(marker), encoding="utf-8")


def _parts(
    source: Source, rows: dict[str, list[Row]]
) -> dict[str, Sequence[Row | list]]:
    if rows["train"] and not rows["val"] and not rows["test"]:
        images: dict[str, list[str]] = {name: [] for name in source.class_names}
        for path, _, name in rows["train"]:
            images[name].append(path)
        do = "Add images of them, or take the classes out of the data set."
        parts = split_classes(source.folder, images, do)
        return {
            split: [[e.path, e.label, source.class_names[e.label]] for e in part]
            for split, part in zip(SPLITS, parts, strict=True)
        }
    if not rows["test"]:
        logging.warning("'%s' has no split 'test': 'val' is tested on", source.folder)
        return rows | {"test": rows["val"], "val": []}
    return rows


def _put(temporary: Path, made: Path, marker: dict[str, Any]) -> None:
    if _held(made) == marker:  # another process was faster, and may be reading it
        return
    old = made.with_name(f".{FOLDER}.{os.getpid()}.old")
    if made.exists():
        os.rename(made, old)
    try:
        os.rename(temporary, made)
    finally:
        shutil.rmtree(old, ignore_errors=True)

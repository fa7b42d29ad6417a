"""The rows of a Hugging Face `datasets` folder: images as bytes, classes by name.

The only importer of `datasets`, which is an optional extra.
"""

import dataclasses
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import logging
from PIL import Image

from fdbpl_jax.data.split_file import SPLITS, Row
from fdbpl_jax.data.splits import refuse_same_words
from fdbpl_jax.data.types import first_few
from fdbpl_jax.errors import UserError

_PART_OF = {name: name for name in SPLITS} | dict.fromkeys(
    ("validation", "valid", "dev"), "val"
)
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
_SUFFIX = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif"}  # others: their own name


@dataclasses.dataclass(frozen=True)
class Source:
    """An opened folder. `splits` by their own names, rows of {image, label}."""

    folder: Path
    splits: Mapping[str, Any]  # datasets.Dataset, whose images are not decoded
    image: str
    label: str
    label_of: Mapping[int, int]  # from labels in the data to 0..C-1
    class_names: tuple[str, ...]


def open_splits(
    folder: Path, splits: Mapping[str, Path], image: str, label: str
) -> Source:
    """Opens the splits and finds out columns and classes; reads no image.

    Classes that no image has are left out, with a logged warning.

    Args:
      folder: made by `save_to_disk`, for messages.
      splits: the folder of each split.
      image: the column of the images; empty: the only one there is.
      label: the column of the classes; empty: the only one there is.

    Raises:
      UserError: see `hf_export.export_images`.
    """
    _refuse_splits(folder, list(splits))
    datasets = _import_datasets()
    try:
        opened = {
            name: datasets.load_from_disk(str(own)) for name, own in splits.items()
        }
    # Which exception a broken data file raises depends on where it broke.
    except Exception as error:
        raise UserError(
            f"the library 'datasets' cannot open '{folder}' ({error})",
            "Save the data set again, or install a newer release of the library.",
        ) from error
    features = next(iter(opened.values())).features
    image = _column(folder, features, datasets.Image, image)
    label = _column(folder, features, datasets.ClassLabel, label)
    _refuse_differences(folder, opened, (image, label))
    raw = {
        name: own.with_format(None)
        .select_columns([image, label])
        .cast_column(image, datasets.Image(decode=False))
        for name, own in opened.items()
    }
    names = features[label].names
    labels = _used_labels(folder, raw, label, names)
    class_names = tuple(names[own].strip() for own in labels)
    refuse_same_words(folder, class_names)
    label_of = {own: number for number, own in enumerate(labels)}
    return Source(folder, raw, image, label, label_of, class_names)


def write_images(source: Source, into: Path) -> dict[str, list[Row]]:
    """Writes every image as <split>/<class>/<number>.<suffix>, byte for byte.

    Args:
      source: what `open_splits` returns.
      into: the folder to write to, made when missing.

    Returns:
      The rows of "train", "val" and "test", with paths relative to `into`.

    Raises:
      OSError: something cannot be written.
      UserError: an image has no bytes or is none.
    """
    folders = [_folder(*pair) for pair in enumerate(source.class_names)]
    rows: dict[str, list[Row]] = {split: [] for split in SPLITS}
    for split, own in source.splits.items():
        for name in folders:
            (into / split / name).mkdir(parents=True, exist_ok=True)
        for number, row in enumerate(own):
            content = _bytes(source, split, number, row[source.image])
            label = source.label_of[row[source.label]]
            suffix = _suffix(source, split, number, content)
            path = f"{split}/{folders[label]}/{number:07d}.{suffix}"
            (into / path).write_bytes(content)
            rows[_PART_OF[split]].append((path, label, source.class_names[label]))
    return rows


def _import_datasets() -> ModuleType:
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            "reading a folder of Hugging Face datasets needs the library 'datasets', "
            "which is not installed",
            "Run `pip install fdbpl-jax[hf]`.",
        ) from error
    return datasets


def _refuse_splits(folder: Path, names: list[str]) -> None:
    unknown = [name for name in names if name not in _PART_OF]
    if unknown:
        raise UserError(
            f"'{folder}' has splits with names that say nothing to us: "
            f"{first_few(unknown)}",
            f"Save it with splits out of: {', '.join(_PART_OF)}.",
        )
    parts = [_PART_OF[name] for name in names]
    if len(set(parts)) < len(parts):
        raise UserError(
            f"'{folder}' has two splits that are the same part: {', '.join(names)}",
            f"Leave one out; {', '.join(_PART_OF)} are known, the last three as 'val'.",
        )


def _column(folder: Path, features: Mapping[str, Any], kind: type, name: str) -> str:
    """The column `name`, or the only one of this kind."""
    found = [column for column, own in features.items() if isinstance(own, kind)]
    held = ", ".join(f"{c} ({type(own).__name__})" for c, own in features.items())
    if name in found or (not name and len(found) == 1):
        return name or found[0]
    wanted = f"{len(found)} columns of the type {kind.__name__} where one is needed"
    if name:
        wanted = f"no column '{name}' of the type {kind.__name__}"
    raise UserError(
        f"'{folder}' has {wanted}; it holds: {held}",
        "`dataset.cast_column(name, datasets.Image())` makes a column one of images, "
        "`dataset.class_encode_column(name)` one of classes; `remove_columns` removes.",
    )


def _refuse_differences(
    folder: Path, opened: Mapping[str, Any], columns: tuple[str, str]
) -> None:
    first, *others = opened
    for split in others:
        for column in columns:
            if opened[split].features.get(column) != opened[first].features[column]:
                raise UserError(
                    f"column '{column}' of '{folder}' is another one in the split "
                    f"'{split}' than in '{first}'",
                    "All splits must have the same columns and the same class names.",
                )


def _used_labels(
    folder: Path, splits: Mapping[str, Any], column: str, names: Sequence[str]
) -> list[int]:
    used: set[int] = set()
    for split, own in splits.items():
        labels = set(own.unique(column))
        if not labels <= set(range(len(names))):  # -1, or none at all
            raise UserError(
                f"images of the split '{split}' in '{folder}' have no label",
                "Save the data set without that split, or without those images.",
            )
        used |= labels
    if not used:
        raise UserError(f"'{folder}' holds no image", "Save a data set with rows.")
    unused = [name for label, name in enumerate(names) if label not in used]
    if unused:
        logging.warning(
            "'%s': %d classes that no image has are left out: %s",
            *(folder, len(unused), first_few(unused)),
        )
    return sorted(used)


def _folder(label: int, name: str) -> str:
    """A name that every file system takes, in the order of the labels."""
    return f"{label:04d}_" + re.sub(r"[^A-Za-z0-9-]+", "_", name)[:60].strip("_")


def _bytes(source: Source, split: str, number: int, image: Any) -> bytes:
    content = (image or {}).get("bytes")
    if not content:
        raise UserError(
            f"row {number} of the split '{split}' in '{source.folder}' has no image in "
            "it",
            "Save the data set with `save_to_disk`, which puts images into the folder, "
            "and without empty rows.",
        )
    return content


def _suffix(source: Source, split: str, number: int, content: bytes) -> str:
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            kind = str(image.format)
    # Which exception a broken image raises depends on its format and where it broke.
    except Exception as error:
        raise UserError(
            f"row {number} of the split '{split}' in '{source.folder}' is no image "
            f"that we can read ({error})",
            f"Save the data set without it; readable are {', '.join(_FORMATS)}.",
        ) from error
    return _SUFFIX.get(kind, kind.lower())

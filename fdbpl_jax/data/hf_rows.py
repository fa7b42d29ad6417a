"""Rows of a Hugging Face `datasets` folder: images as bytes, classes by name.

The only importer of `datasets`, which is an optional extra.
"""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging
from PIL import Image

from fdbpl_jax.data.class_names import check_class_names
from fdbpl_jax.data.images import kinds
from fdbpl_jax.data.parts import with_test
from fdbpl_jax.data.split_file import PART_OF, Row
from fdbpl_jax.data.types import Example, first_few
from fdbpl_jax.errors import UserError

_SUFFIX = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif", "JPEG2000": "jp2"}  # or its name


def open_splits(
    folder: Path, splits: Mapping[str, Path], image: str, label: str
) -> dict[str, Any]:
    """Open the `datasets.Dataset` of each split; reads no image.

    Arguments and errors are those of `hf_folder.read_hf`; `folder` is for messages. The
    columns become "image", not decoded, and "label".
    """
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            "reading a folder of Hugging Face datasets needs the library 'datasets', "
            "which is not installed",
            "Run `pip install fdbpl-jax[hf]`.",
        ) from error
    try:
        opened = {
            name: datasets.load_from_disk(str(split)) for name, split in splits.items()
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
    for name, data in opened.items():
        for column in (image, label):
            if data.features.get(column) != features[column]:
                raise UserError(
                    f"column '{column}' of '{folder}' is another one in the split "
                    f"'{name}' than in '{next(iter(opened))}'",
                    "All splits must have the same columns and the same class names.",
                )
    return {
        name: data.with_format(None)
        .select_columns([image, label])
        .rename_columns({image: "image", label: "label"})
        .cast_column("image", datasets.Image(decode=False))
        for name, data in opened.items()
    }


def _column(folder: Path, features: Mapping[str, Any], kind: type, name: str) -> str:
    """The column `name`, or the only one of this kind."""
    columns = [column for column, of in features.items() if isinstance(of, kind)]
    if name in columns or (not name and len(columns) == 1):
        return name or columns[0]
    wanted = f"{len(columns)} columns of the type {kind.__name__} where one is needed"
    if name:
        wanted = f"no column '{name}' of the type {kind.__name__}"
    held = ", ".join(f"{c} ({type(of).__name__})" for c, of in features.items())
    raise UserError(
        f"'{folder}' has {wanted}; it holds: {held}",
        "`dataset.cast_column(name, datasets.Image())` makes a column one of images, "
        "`dataset.class_encode_column(name)` one of classes; `remove_columns` removes.",
    )


def write_images(
    folder: Path, opened: Mapping[str, Any], into: Path
) -> Mapping[str, Sequence[Row]]:
    """Write every image as <split>/<class>/<number>.<suffix>, byte for byte.

    Classes that no image has are left out, with a logged warning. Returns the rows of
    "train", "val" and "test", with paths relative to `into`.

    Raises:
      OSError: something cannot be written.
      UserError: see `hf_folder.read_hf`.
    """
    classes = _used_classes(folder, opened)
    place = {label: number for number, label in enumerate(classes)}
    names = list(classes.values())
    parts: dict[str, list[Example]] = {}
    for split, data in opened.items():
        examples = parts[PART_OF[split.lower()]] = []
        for number, row in enumerate(data):
            where = f"row {number} of the split '{split}' in '{folder}'"
            content, suffix = _image_file(where, row["image"])
            label = place[row["label"]]
            path = f"{split}/{_plain(label, names[label])}/{number:07d}.{suffix}"
            (into / path).parent.mkdir(parents=True, exist_ok=True)
            (into / path).write_bytes(content)
            examples.append(Example(path, label))
    do = "Add images of them, or take the classes out of the data set."
    return {
        split: [(e.path, e.label, names[e.label]) for e in part]
        for split, part in with_test(folder, parts, names, do).items()
    }


def _used_classes(folder: Path, opened: Mapping[str, Any]) -> dict[int, str]:
    """Class names by label, without those of no image."""
    names = next(iter(opened.values())).features["label"].names
    used: set[int] = set()
    for split, data in opened.items():
        labels = set(data.unique("label"))
        if not labels <= set(range(len(names))):  # -1, or none at all
            raise UserError(
                f"images of the split '{split}' in '{folder}' have no label",
                "Save the data set without that split, or without those images.",
            )
        used |= labels
    if not used:
        raise UserError(f"'{folder}' holds no image", "Save a data set with rows.")
    if unused := [name for label, name in enumerate(names) if label not in used]:
        logging.warning(
            "'%s': %d classes that no image has are left out: %s",
            *(folder, len(unused), first_few(unused)),
        )
    classes = {label: names[label].strip() for label in sorted(used)}
    check_class_names(folder, tuple(classes.values()))
    return classes


def _plain(label: int, name: str) -> str:
    """A folder name that every file system takes, in the order of the labels."""
    return f"{label:04d}_" + re.sub(r"[^A-Za-z0-9-]+", "_", name)[:60].strip("_")


def _image_file(where: str, image: Mapping[str, Any] | None) -> tuple[bytes, str]:
    """The bytes of an image, and the suffix of a file of its format."""
    content = (image or {}).get("bytes")
    if not content:
        raise UserError(
            f"{where} has no image in it",
            "Save the data set with `save_to_disk`, which puts images into the folder, "
            "and without empty rows.",
        )
    try:
        with Image.open(io.BytesIO(content), formats=kinds()) as opened:
            kind = str(opened.format)
    # Which exception a broken image raises depends on its format and where it broke.
    except Exception as error:
        raise UserError(
            f"{where} is no image that we can read ({error})",
            f"Save the data set without it; readable are {', '.join(kinds())}.",
        ) from error
    return content, _SUFFIX.get(kind, kind.lower())

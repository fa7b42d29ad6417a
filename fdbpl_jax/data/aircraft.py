"""FGVCAircraft: no split file, but its own lists of images and variants."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fdbpl_jax.data.catalogue import Layout
from fdbpl_jax.data.split_file import SPLITS, Row, examples_of, normal_path
from fdbpl_jax.data.types import Example, first_few
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import read_lines

IMAGE_LISTS = "images_variant_*.txt"  # one for each split
_AGAIN = "Fetch the lists again."


def read_aircraft(
    layout: Layout, folder: Path
) -> tuple[tuple[str, ...], dict[str, tuple[Example, ...]]]:
    """Read `variants.txt` and `images_variant_{train,val,test}.txt`.

    A line of the former is a variant, in the order of the labels; of the latter an
    image's number and its variant. Returns the class names by label, and the examples
    of each split.

    Raises:
      UserError: a list is missing or contradicts another.
    """
    labels = _labels(folder / layout.lists)
    rows: dict[str, list[Row]] = {}
    for split in SPLITS:
        file = folder / IMAGE_LISTS.replace("*", split)
        rows[split] = [
            _row(file, number, line, labels)
            for number, line in read_lines(file, _AGAIN)
        ]
    _refuse_unused(folder, labels, rows)
    return examples_of(folder / IMAGE_LISTS, rows, str)


def _labels(file: Path) -> dict[str, int]:
    labels: dict[str, int] = {}
    for _, variant in read_lines(file, _AGAIN):
        if variant in labels:
            raise UserError(f"'{file}' lists '{variant}' twice", _AGAIN)
        labels[variant] = len(labels)
    if not labels:
        raise UserError(f"'{file}' names no variant", _AGAIN)
    return labels


def _refuse_unused(
    folder: Path, labels: Mapping[str, int], rows: Mapping[str, Sequence[Row]]
) -> None:
    # The last of them would not even leave a gap in the labels.
    used = {variant for part in rows.values() for _, _, variant in part}
    if unused := [variant for variant in labels if variant not in used]:
        raise UserError(
            f"the lists '{folder / IMAGE_LISTS}' have no image of {len(unused)} "
            f"variants: {first_few(unused)}",
            "Fetch the lists again, or take these variants out of variants.txt.",
        )


def _row(file: Path, number: int, line: str, labels: dict[str, int]) -> Row:
    image, _, variant = line.partition(" ")
    if variant.strip() not in labels:
        raise UserError(
            f"'{file}', line {number}: '{line[:80]}' names no variant of variants.txt",
            "Expected '<image number> <variant>'; fetch the lists again.",
        )
    path = normal_path(file, f"{image}.jpg")
    return path, labels[variant.strip()], variant.strip()

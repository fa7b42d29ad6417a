"""FGVCAircraft: no split file, but its own lists of images and variants."""

from pathlib import Path

from fdbpl_jax.data.catalogue import Layout
from fdbpl_jax.data.split_file import SPLITS, Row, examples_of
from fdbpl_jax.data.types import Example
from fdbpl_jax.errors import UserError


def read_aircraft(
    layout: Layout, folder: Path
) -> tuple[tuple[str, ...], dict[str, tuple[Example, ...]]]:
    """Reads `variants.txt` and `images_variant_{train,val,test}.txt`.

    A line of the former is a variant, in the order of the labels; of the latter an
    image's number and its variant.

    Args:
      layout: of `CATALOGUE`.
      folder: the data set's.

    Returns:
      The class names by label, and the examples of each split.

    Raises:
      UserError: a list is missing or contradicts another.
    """
    variants = [line.strip() for line in _lines(folder / layout.lists)]
    labels = {variant: label for label, variant in enumerate(variants)}
    rows: dict[str, list[Row]] = {}
    for split in SPLITS:
        file = folder / f"images_variant_{split}.txt"
        rows[split] = [
            _row(file, number, line, labels)
            for number, line in enumerate(_lines(file), 1)
        ]
    return examples_of(folder / layout.lists, rows, str)


def _row(file: Path, number: int, line: str, labels: dict[str, int]) -> Row:
    image, _, variant = line.strip().partition(" ")
    if variant.strip() not in labels:
        raise UserError(
            f"'{file}', line {number}: '{line[:80]}' names no variant of variants.txt",
            "Expected '<image number> <variant>'; fetch the lists again.",
        )
    return f"{image}.jpg", labels[variant.strip()], variant.strip()


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"list '{file}' cannot be read: {error}", "Fetch the data set again."
        ) from error
    return [line for line in lines if line.strip()]

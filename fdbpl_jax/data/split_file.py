"""CoOp split files: the images of train, val and test, checked before anything runs.

A split file is JSON, `{"train": [[path, label, class name], ...], "val": [...],
"test": [...]}`, as CoOp (github.com/KaiyangZhou/CoOp) and its successors keep it.
"""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from fdbpl_jax.data.class_names import as_read
from fdbpl_jax.data.listed_files import normal_path, refuse_repeats
from fdbpl_jax.data.types import Example, first_few, prompt_name
from fdbpl_jax.errors import UserError, printable
from fdbpl_jax.files import open_file

SPLITS = ("train", "val", "test")
_PART_OF = dict.fromkeys(("val", "validation", "valid", "dev"), "val")
PART_OF = {"train": "train", **_PART_OF, "test": "test"}  # by names of splits

Row = tuple[str, int, str]  # path, label, class name


def read_split(
    file: Path, class_name: Callable[[str], str]
) -> tuple[tuple[str, ...], dict[str, tuple[Example, ...]]]:
    """Read and check a split file; looks at no image.

    Args:
      class_name: from a class name in the file to the one to be used.

    Returns:
      The class names by label, and the examples of "train", "val" and "test", with
      normalised paths.

    Raises:
      UserError: if the file cannot be read, is not JSON or not of this structure; if
        labels are not 0..C-1, a label has two names or a name two labels; if a path
        is absolute, climbs with "..", or is listed twice.
    """
    rows = {split: _rows(file, split, part) for split, part in _parts(file).items()}
    return examples_of(file, rows, class_name)


def examples_of(
    file: Path, rows: Mapping[str, Sequence[Row]], class_name: Callable[[str], str]
) -> tuple[tuple[str, ...], dict[str, tuple[Example, ...]]]:
    """Check the rows of each split, with normalised paths; returns as `read_split`.

    Raises:
      UserError: rows contradict each other, see `read_split`.
    """
    all_rows = [row for split in SPLITS for row in rows[split]]
    names = _class_names(file, all_rows, class_name)
    class_names = tuple(class_name(name) for name in names)
    listed = ((path, split) for split in SPLITS for path, _, _ in rows[split])
    refuse_repeats(file, listed, "in")
    return class_names, {
        split: tuple(Example(path, label) for path, label, _ in rows[split])
        for split in SPLITS
    }


def _parts(file: Path) -> dict[str, list]:
    do = "Fetch the split file again."
    try:
        with open_file(file) as stream:
            content = json.load(stream)
    except FileNotFoundError as error:
        raise UserError(f"split file '{file}' is missing", do) from error
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot read split file '{file}' ({reason})", do) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"split file '{file}' is not JSON ({error})", do) from error
    if not isinstance(content, dict):
        raise UserError(f"split file '{file}' is not a JSON object", do)
    names = parts_named(file, [key for key in content if key in PART_OF])
    for split in SPLITS:
        if not isinstance(content.get(names.get(split)), list):
            raise UserError(
                f"split file '{file}' has no list '{split}' (it has: "
                f"{first_few(sorted(content)) or 'nothing'})",
                do,
            )
    parts = {split: content[names[split]] for split in SPLITS}
    if not any(parts.values()):
        raise UserError(f"split file '{file}' lists no image", do)
    return parts


def parts_named(where: Path, names: Sequence[str]) -> dict[str, str]:
    """The name that each part, "train", "val" or "test", has among those of splits.

    Raises:
      UserError: a split has a name that is not in `PART_OF`, or two are the same part.
    """
    what = ""
    if unknown := [name for name in names if name.lower() not in PART_OF]:
        what = f"has splits of unknown names: {first_few(unknown)}"
    named = {PART_OF.get(name.lower(), name): name for name in names}
    if not what and len(named) < len(names):
        what = f"has two splits that are the same part: {', '.join(names)}"
    if what:
        known = f"{', '.join(PART_OF)}; validation, valid and dev are 'val'"
        raise UserError(f"'{where}' {what}", f"Name splits out of: {known}.")
    return named


def _rows(file: Path, split: str, part: list) -> list[Row]:
    rows = []
    for number, row in enumerate(part):
        try:
            path, label, name = msgspec.convert(row, Row)
            words = f"{path}{name.strip()}"
            if not name.strip() or words != printable(words):
                raise ValueError
        except ValueError as error:
            raise UserError(
                f"split file '{file}': row {number} of '{split}' is {str(row)[:80]!r}",
                "A row is [path, label, class name]: a string, an integer, a string, "
                "without control characters.",
            ) from error
        rows.append((normal_path(file, path), label, name.strip()))
    return rows


def _class_names(
    file: Path, rows: Sequence[Row], class_name: Callable[[str], str]
) -> tuple[str, ...]:
    name_of: dict[int, str] = {}
    label_of: dict[str, int] = {}
    for _, label, name in rows:
        other = name_of.setdefault(label, name)
        if other != name:
            raise UserError(
                f"split file '{file}': label {label} is both '{other}' and '{name}'",
                "Every label must have one class name.",
            )
    # Two names that read the same in a prompt cannot be told apart.
    for label, name in name_of.items():
        words = prompt_name(class_name(name))
        earlier = label_of.setdefault(as_read(words), label)
        if earlier != label:
            raise UserError(
                f"split file '{file}': class '{words}' has the labels {earlier} and "
                f"{label} ('{name_of[earlier]}' and '{name}')",
                "Every class name must have one label.",
            )
    _refuse_gaps(file, name_of)
    return tuple(name_of[label] for label in range(len(name_of)))


def _refuse_gaps(file: Path, labels: Mapping[int, str]) -> None:
    do = "Labels must be 0, 1, 2, ... without a gap."
    if min(labels) < 0:
        raise UserError(f"split file '{file}' has the label {min(labels)}", do)
    gaps = max(labels) + 1 - len(labels)
    if gaps:
        missing = (label for label in itertools.count() if label not in labels)
        shown = ", ".join(map(str, itertools.islice(missing, min(gaps, 5))))
        raise UserError(
            f"split file '{file}' has labels up to {max(labels)} but {gaps} of them "
            f"are never used: {shown}{' and more' if gaps > 5 else ''}",
            do,
        )

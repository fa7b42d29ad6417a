"""CoOp split files: the images of train, val and test, checked before anything runs.

A split file is JSON, `{"train": [[path, label, class name], ...], "val": [...],
"test": [...]}`, as CoOp (github.com/KaiyangZhou/CoOp) and its successors keep it.
"""

import itertools
import json
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from fdbpl_jax.data.class_names import as_read
from fdbpl_jax.data.listing import inside
from fdbpl_jax.data.types import Example, first_few, prompt_name
from fdbpl_jax.errors import UserError, printable

SPLITS = ("train", "val", "test")

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
    _refuse_repeats(file, rows)
    return class_names, {
        split: tuple(Example(path, label) for path, label, _ in rows[split])
        for split in SPLITS
    }


def check_files(file: Path, root: Path, examples: Sequence[Example]) -> None:
    """Refuse examples that are no files, or lie outside `root` by a symbolic link.

    Lists each folder once instead of asking for each file: on network file systems
    that is the difference between seconds and minutes.

    Args:
      file: the split file, for the message.
      root: the folder that paths are relative to.
      examples: what should be there.

    Raises:
      UserError: with the number of such paths and the first few of them.
    """
    names = defaultdict(list)
    for example in examples:
        folder, _, name = example.path.rpartition("/")
        names[folder].append(name)
    missing, outside = [], []
    for folder, wanted in names.items():
        gone, away = _check_folder(root, folder, wanted)
        missing += gone
        outside += away
    if outside:
        raise UserError(
            f"'{file}' lists {len(outside)} images that are links to places outside "
            f"'{root}': {first_few(sorted(outside))}",
            "Put the images themselves there.",
        )
    if missing:
        raise UserError(
            f"{len(missing)} of the {len(examples)} images that '{file}' lists are "
            f"missing in '{root}': {first_few(sorted(missing))}",
            "Fetch the data set again, or use the split file that belongs to it.",
        )


def _check_folder(
    root: Path, folder: str, names: Sequence[str]
) -> tuple[list[str], list[str]]:
    paths = {name: f"{folder}/{name}".lstrip("/") for name in names}
    try:
        with os.scandir(root / folder) as entries:
            entry_of = {entry.name: entry for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return list(paths.values()), []
    except OSError as error:
        what = f"cannot list the folder '{root / folder}' ({error.strerror or error})"
        raise UserError(what) from error
    if not inside(root, root / folder):
        return [], list(paths.values())
    missing, outside = [], []
    for name, path in paths.items():
        entry = entry_of.get(name)
        if entry is None or not _is_file(entry):
            missing.append(path)
        elif entry.is_symlink() and not inside(root, Path(entry.path)):
            outside.append(path)
    return missing, outside


def _is_file(entry: os.DirEntry) -> bool:
    # Only a link needs a look at the file itself; the listing knows the others.
    return os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file()


def _parts(file: Path) -> dict[str, list]:
    do = "Fetch the split file again."
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"split file '{file}' is missing", do) from error
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot read split file '{file}' ({reason})", do) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"split file '{file}' is not JSON ({error})", do) from error
    if not isinstance(content, dict):
        raise UserError(f"split file '{file}' is not a JSON object", do)
    for split in SPLITS:
        if not isinstance(content.get(split), list):
            raise UserError(
                f"split file '{file}' has no list '{split}' (it has: "
                f"{first_few(sorted(content)) or 'nothing'})",
                do,
            )
    if not any(content[split] for split in SPLITS):
        raise UserError(f"split file '{file}' lists no image", do)
    return {split: content[split] for split in SPLITS}


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


def normal_path(file: Path, path: str) -> str:
    """The path that a list of images names, without "." and doubled slashes.

    Raises:
      UserError: it is absolute, climbs with "..", or is empty.
    """
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise UserError(
            f"'{file}' lists the path '{path}'",
            "Paths must be relative to the image folder and without '..'.",
        )
    return str(pure)


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


def _refuse_repeats(file: Path, rows: Mapping[str, Sequence[Row]]) -> None:
    first: dict[str, str] = {}
    repeats = []
    for split in SPLITS:
        for path, _, _ in rows[split]:
            if path in first:
                repeats.append(f"'{path}' (in {first[path]} and {split})")
            first.setdefault(path, split)
    if repeats:
        raise UserError(
            f"split file '{file}' lists {len(repeats)} images twice: "
            f"{first_few(repeats)}",
            "An image must be in one split, once; else test scores would be wrong.",
        )

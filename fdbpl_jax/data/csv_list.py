"""Data sets in a list of images, a CSV file.

The other form, a plain folder of class folders, is in `folder.py`.
"""

import csv
import dataclasses
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from fdbpl_jax.data.class_names import check_class_names
from fdbpl_jax.data.listed_files import check_files, normal_path, refuse_repeats
from fdbpl_jax.data.parts import Divide, refuse_untested, with_test
from fdbpl_jax.data.split_file import PART_OF, SPLITS
from fdbpl_jax.data.splits import TEMPLATE
from fdbpl_jax.data.types import UNLABELLED, Dataset, Example, first_few
from fdbpl_jax.errors import UserError, printable, unknown_name
from fdbpl_jax.files import open_file

_COLUMNS = ("path", "label", "split")  # the last one may be missing


@dataclasses.dataclass(frozen=True, slots=True)
class _Row:
    line: int  # of the file, from 1
    path: str
    name: str  # of the class; empty where it is not known
    split: str  # empty where the file has no such column


def read_csv(
    file: Path,
    template: str = TEMPLATE,
    names: Sequence[str] = (),
    divide: Divide = with_test,
) -> Dataset:
    """Read a list of images with the header `path,label` or `path,label,split`.

    Other columns are ignored. Without a column "split" `divide` makes the parts.

    Args:
      file: the list, in UTF-8. Paths in it are relative to its folder; a label is the
        name of a class; a split is one of `PART_OF`.
      template: the prompt of the data set, "{}" for the class.
      names: of the classes, in order; empty: the labels, sorted. With names a training
        image can be without a label.

    Raises:
      UserError: the file cannot be read or has no such header; a row lacks a value or
        has one too many; a path leads out of the folder, is listed twice or is no file;
        classes have too few images, or two names that read the same in a prompt.
    """
    file = Path(os.path.expanduser(file)).absolute()
    rows = _rows(file, names)
    refuse_repeats(file, ((row.path, row.line) for row in rows), "lines")
    names = names or sorted({row.name for row in rows})
    check_class_names(file, names)
    label_of = {name: label for label, name in enumerate(names)} | {"": UNLABELLED}
    examples = [Example(row.path, label_of[row.name]) for row in rows]
    if rows[0].split:
        pairs = list(zip(rows, examples, strict=True))
        parts = {
            split: tuple(example for row, example in pairs if row.split == split)
            for split in SPLITS
        }
        if parts["test"] or divide is with_test:
            refuse_untested(file, parts["test"], names)
    else:
        do = "Add images of them, or take the classes out of the list."
        parts = divide(file, {"train": examples}, names, do)
    check_files(file, file.parent, examples)
    return Dataset(file.stem, file.parent, tuple(names), template, **parts)


def _rows(file: Path, names: Sequence[str]) -> list[_Row]:
    try:
        with (
            open_file(file) as stream,
            io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as lines,
        ):
            rows = list(_read_rows(file, lines, names))
    except OSError as error:
        raise UserError(
            f"cannot read the list '{file}' ({error.strerror or error})",
            "Set --config.data.root to the CSV file itself.",
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"the list '{file}' is not a CSV file in UTF-8 ({error})",
            "Save it as 'CSV UTF-8', with commas between the columns.",
        ) from error
    if not rows:
        raise UserError(f"the list '{file}' has no row", "Add a row for each image.")
    return rows


def _read_rows(
    file: Path, lines: Iterator[str], names: Sequence[str]
) -> Iterator[_Row]:
    cells = csv.reader(lines, strict=True)
    header = [name.strip() for name in next(cells, [])]
    if [header.count(name) for name in _COLUMNS] not in ([1, 1, 0], [1, 1, 1]):
        raise UserError(
            f"the first line of '{file}' names the columns "
            f"{first_few([repr(name) for name in header]) or 'nothing'}",
            "It must be 'path,label' or 'path,label,split', with commas; other columns "
            "may follow.",
        )
    for row in cells:
        if row:  # an empty line is no row
            yield _known(file, names, _row(file, cells.line_num, header, row))


def _known(file: Path, names: Sequence[str], row: _Row) -> _Row:
    """The row, if its label is one of the names or may be missing."""
    where = f"'{file}', line {row.line}"
    if row.name and names and row.name not in names:
        raise unknown_name(f"class in {where},", row.name, names)
    if not row.name and (not names or row.split not in ("", "train")):
        raise UserError(
            f"{where}: the image '{row.path}' has no label",
            "Give it one. `fdbpl learn` takes training images without labels, if the "
            "classes are named: --classes=names.txt.",
        )
    return row


def _row(file: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> _Row:
    if len(cells) != len(header):
        raise UserError(
            f"'{file}', line {line}: {len(cells)} values for {len(header)} columns",
            'A value with a comma in it must stand in quotes, "like, this".',
        )
    of = dict(zip(header, cells, strict=True))
    path, *rest = (of[name] for name in _COLUMNS if name in of)
    name, *split = (" ".join(cell.split()) for cell in rest)
    words = f"{path}{rest[0].strip()}"
    if not path.strip() or words != printable(words):
        raise UserError(
            f"'{file}', line {line}: path {path!r}, label {rest[0]!r}",
            "Every row needs the path of an image and the name of its class, without "
            "line breaks and control characters.",
        )
    part = "".join(split)
    if split and part.lower() not in PART_OF:
        raise unknown_name(f"split in '{file}', line {line},", part, PART_OF)
    part = PART_OF.get(part.lower(), "")
    return _Row(line, normal_path(file, path), name, part)

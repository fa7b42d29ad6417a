"""Files that a list of images names: there, and below the root.

A link that the user made is followed where folders are read; a path that is written in
a list may come from a stranger, and must not lead out of the root, by a link or not.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from fdbpl_jax.data.types import Example, first_few
from fdbpl_jax.errors import UserError

_TRIED = 100  # folders in which a missing image is looked for


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


def refuse_repeats(file: Path, listed: Iterable[tuple[str, object]], word: str) -> None:
    """Refuse paths that a list has twice; the places are told after the word."""
    first: dict[str, object] = {}
    repeats = []
    for path, place in listed:
        if path in first:
            repeats.append(f"'{path}' ({word} {first[path]} and {place})")
        first.setdefault(path, place)
    if repeats:
        raise UserError(
            f"'{file}' lists {len(repeats)} images twice: {first_few(repeats)}",
            "An image must be in one split, once; else test scores would be wrong.",
        )


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
            _meant(root, min(missing))
            or "Fetch the data set again, or use the list that belongs to it.",
        )


def _meant(root: Path, path: str) -> str:
    """What is likely wrong with the path of a missing image; "" if nothing is found."""
    if "\\" in path:
        return "Write '/' between folders, not a backslash."
    first, _, rest = path.partition("/")
    guesses = {"write letters in the same case": path, f"leave out '{first}/'": rest}
    for folder in sorted(os.listdir(root))[:_TRIED]:
        guesses[f"add '{folder}/' in front"] = f"{folder}/{path}"
    for what, guess in guesses.items():
        if there := _any_case(root, guess):
            return f"There is '{there}': {what}."
    return ""


def _any_case(root: Path, path: str) -> str:
    """The path, below the root, of a file that is called so but for case; or ""."""
    there = Path()
    for part in PurePosixPath(path).parts:
        try:
            names = os.listdir(root / there)
        except OSError:
            return ""
        same = [name for name in names if name.lower() == part.lower()]
        if not same:
            return ""
        there /= part if part in same else same[0]
    return str(there) if (root / there).is_file() else ""


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
    if not _inside(root, root / folder):
        return [], list(paths.values())
    missing, outside = [], []
    for name, path in paths.items():
        entry = entry_of.get(name)
        if entry is None or not _is_file(entry):
            missing.append(path)
        elif entry.is_symlink() and not _inside(root, Path(entry.path)):
            outside.append(path)
    return missing, outside


def _is_file(entry: os.DirEntry) -> bool:
    # Only a link needs a look at the file itself; the listing knows the others.
    return os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file()


def _inside(root: Path, path: Path) -> bool:
    """Whether `path`, with all links followed, lies in `root`."""
    real = os.path.realpath(root)
    return Path(os.path.realpath(path)).is_relative_to(real)

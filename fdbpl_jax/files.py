"""Files and folders, replaced completely or not at all, and what is in them."""

import csv
import errno
import io
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from fdbpl_jax.errors import UserError, printable


def png_file(path: str | Path) -> Path:
    """The path of a picture that is to be written.

    Raises:
      UserError: it does not end in ".png".
    """
    if Path(path).suffix != ".png":
        raise UserError(f"picture '{path}' is no PNG file", "Let it end in .png.")
    return Path(path)


def csv_text(lines: Iterable[Iterable[object]]) -> str:
    """The lines as CSV; None is an empty field, and no text breaks a line."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(
        [printable(x) if isinstance(x, str) else x for x in line] for line in lines
    )
    return out.getvalue()


def open_file(path: Path) -> io.BufferedReader:
    """Open a file for reading, in bytes.

    Raises:
      OSError: it cannot be opened, or is a pipe, socket or device: reading one could
        wait for ever.
    """
    return open(path, "rb", opener=_opener)


def _opener(name: str, how: int) -> int:
    file = os.open(name, how | os.O_NONBLOCK)  # not waiting for a pipe's writer
    mode = os.fstat(file).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):  # `open` itself refuses folders
        return file
    os.close(file)
    raise OSError(errno.EINVAL, "a pipe, socket or device, not a file", name)


def read_lines(path: Path, do: str) -> Iterator[tuple[int, str]]:
    """The lines of a text file in UTF-8, each stripped and with its number from 1.

    Empty lines are left out.

    Raises:
      UserError: it cannot be read; `do` says what to do.
    """
    try:
        with open_file(path) as stream:
            lines = stream.read().decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"'{path}' cannot be read ({reason})", do) from error
    return ((n, line.strip()) for n, line in enumerate(lines, 1) if line.strip())


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write `path`, making its folder; another reader sees all of it or none.

    Raises:
      UserError: it cannot be written; what was there stays.
    """
    # Random: containers on one file system share process ids.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}",
            "Make room or allow writing there and run the same command again: "
            "finished cells are kept.",
        ) from error


def write_folder(
    folder: Path, write: Callable[[Path], None], is_whole: Callable[[], bool]
) -> None:
    """Make a folder; another process sees all of it or none.

    What is there and is not whole is replaced. Any number of processes may do this at
    once: the folder of the first stays. `write` fills the empty folder that it is
    given, `is_whole` tells whether the folder at its place is what `write` makes.

    Raises:
      OSError: it cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    part, old = (
        folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.{end}")
        for end in ("tmp", "old")
    )
    try:
        part.mkdir()
        write(part)
        if not is_whole():
            if folder.exists():
                folder.rename(old)
            part.rename(folder)
    except OSError:
        if not is_whole():  # else another process was faster
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(part, ignore_errors=True)

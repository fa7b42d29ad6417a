"""Files and folders, replaced completely or not at all, and what is in them."""

import contextlib
import csv
import errno
import fcntl
import glob
import io
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from absl import logging

from fdbpl_jax.errors import UserError, one_line, printable

_LEFT_SECONDS = 86400  # age of a temporary file that nobody writes any more


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
        _remove_left(path)
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
    _remove_left(folder)
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


def _remove_left(path: Path) -> None:
    """Remove what processes that were killed while they wrote `path` have left."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.*"):
        with contextlib.suppress(OSError):  # another process removes it, too
            if left.stat().st_mtime > time.time() - _LEFT_SECONDS:
                continue
            left.unlink() if left.is_file() else shutil.rmtree(left)


@contextlib.contextmanager
def lock(file: Path, wait: bool = False) -> Iterator[bool]:
    """Try to lock a file, or `wait` for it, while the context lasts.

    Yields whether that worked. The lock is the operating system's: it ends with the
    process that holds it, however that ends. Where nothing can be locked every try
    works, and two processes only do the same work twice.
    """
    descriptor = None
    try:
        descriptor = _open_new(file)
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        is_mine = True
    except BlockingIOError:
        is_mine = False
    except OSError as error:
        message = "locks do not work here (%s)"
        logging.log_first_n(logging.WARNING, message, 1, one_line(error))
        is_mine = True
    try:
        yield is_mine
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open_new(file: Path) -> int:
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        # The process that finishes the work may remove the folder.
        with contextlib.suppress(FileNotFoundError):
            return os.open(file, os.O_RDWR | os.O_CREAT, 0o666)

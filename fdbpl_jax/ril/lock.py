"""Claims on blocks, so that several builders of one table share the work.

A claim is a lock of the operating system on a small file: it ends with the process that
holds it, however that ends. Object stores have no such locks; there, each builder has
its own share of the blocks.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from absl import logging


@contextlib.contextmanager
def claim(folder: Path | None, block: int) -> Iterator[bool]:
    """Try to claim a block while the context lasts; yield whether that worked.

    Args:
      folder: of the lock files, created when missing; None: there are no locks.
      block: its number.
    """
    if folder is None:
        yield True
        return
    descriptor = _open(folder, block)
    try:
        yield _try_lock(descriptor)
    finally:
        os.close(descriptor)


def _open(folder: Path, block: int) -> int:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        # A builder that finishes the table removes the folder.
        with contextlib.suppress(FileNotFoundError):
            return os.open(folder / f"{block:06d}.lock", os.O_RDWR | os.O_CREAT, 0o666)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # Without locks two builders only do the same work twice.
        logging.log_first_n(
            logging.WARNING, "no locks on this file system (%s)", 1, error
        )
    return True

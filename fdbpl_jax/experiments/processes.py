"""Cells of one run in several processes, each with its share of them."""

import contextlib
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from fdbpl_jax.experiments.cells import Cell
from fdbpl_jax.files import lock
from fdbpl_jax.terminal.signals import start, wait

LOCK = ".lock"  # file in the folder of a plan or a cell; who works there holds it


@dataclasses.dataclass(frozen=True)
class Share:
    """Which unfinished cells this process trains."""

    only: Sequence[str] = ()  # methods; empty: all of them
    index: int = 0  # every `count`-th cell from this one on
    count: int = 1

    def of(self, cells: Sequence[Cell]) -> list[Cell]:
        """The cells to train, and all finished ones, which are only read."""
        mine = {cell.directory for cell in cells[self.index :: self.count]}
        return [
            cell
            for cell in cells
            if cell.is_finished
            or (
                cell.directory in mine
                and (not self.only or cell.method.name in self.only)
            )
        ]


def run_shares(count: int, flags: Sequence[str], logs: Path) -> list[int]:
    """Run `python -m fdbpl_jax.main <flags> --shard=i/count` for every i, at once.

    What each process prints goes to `<logs>/<i>.log`. They end when this process does.
    Returns their exit statuses: a share that failed is no error here, whoever reads the
    cells sees what is missing.
    """
    logs.mkdir(parents=True, exist_ok=True)
    running = []
    for index in range(count):
        command = [sys.executable, "-m", "fdbpl_jax.main", *flags]
        command.append(f"--shard={index}/{count}")
        path = logs / f"{index}.log"
        path.unlink(missing_ok=True)  # another run may still write to it
        with path.open("wb") as log:
            running.append(start(command, log))
    logging.info("%d processes; what they print is in %s", count, logs)
    statuses = [wait(process) for process in running]
    for index, status in enumerate(statuses):
        if status:
            logging.warning("share %d ended with %d: see %d.log", index, status, index)
    return statuses


def lock_of(
    folder: Path, wait: bool = False
) -> contextlib.AbstractContextManager[bool]:
    """The right to train a cell, by its folder; of one that is gone anybody has it."""
    if not folder.is_dir():
        return contextlib.nullcontext(True)
    return lock(folder / LOCK, wait)

"""What training a cell costs: time without and of compilation, memory, machine load."""

import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.cells import Cell
from fdbpl_jax.reports.results import CellResult
from fdbpl_jax.training.metrics import epoch_times

_TRAINED: set[tuple[str, str]] = set()  # data sets and methods, by this process


class Start(NamedTuple):
    """The machine before cells of one method are trained."""

    load: float  # average number of busy processes in the last minute
    in_use: int  # bytes
    peak: int  # bytes, since the process began


def begin(cells: Sequence[Cell]) -> Start:
    """Measure, and note that this process trains these cells."""
    _TRAINED.update((cell.dataset.name, cell.name) for cell in cells)
    return Start(os.getloadavg()[0], *_memory())


def memory_above(start: Start) -> int | None:
    """The most bytes that training used beyond those in use before.

    None where that is not known: a process's peak never falls, so it is that of a
    method only if the process trained no other and used less before.
    """
    _, peak = _memory()
    return peak - start.in_use if len(_TRAINED) == 1 and peak > start.peak else None


def times_of(directory: Path) -> dict[str, Any]:
    """The fields of a cell's result that its `metrics.jsonl` tells; {} without it.

    A single epoch holds the compilation, and tells nothing of either.
    """
    try:
        times = epoch_times(directory)
    except UserError:
        return {}
    if times.epochs < 2:
        return {}
    return {
        "epochs_seconds": times.epochs * times.median,
        "compile_seconds": max(0.0, times.first - times.median),
    }


def completed(result: CellResult, cell: Cell, table_seconds: float) -> CellResult:
    """The result with what earlier versions did not write, and its table's time."""
    changes: dict[str, Any] = {}
    if result.epochs_seconds is None:
        changes = times_of(cell.directory)
    if cell.method.reads_table and table_seconds:
        changes["table_seconds"] = table_seconds
    return result.replaced(changes)


def _memory() -> tuple[int, int]:
    """Bytes in use and at most: the accelerator's, or on a CPU the process's."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return int(stats["bytes_in_use"]), int(stats["peak_bytes_in_use"])
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux
        return peak, peak
    return pages * resource.getpagesize(), peak

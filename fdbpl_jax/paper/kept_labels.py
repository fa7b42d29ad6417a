"""The paper's figure 9: what K, the number of kept labels, costs and gives."""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax.paper.finished import (
    ACCURACIES,
    Finished,
    accuracy_texts,
    claims,
    finished_runs,
    lost,
)
from fdbpl_jax.paper.published import Published
from fdbpl_jax.paper.sheet import Panel, Sheet
from fdbpl_jax.reports.columns import BLANK, has_new
from fdbpl_jax.reports.results import Row
from fdbpl_jax.training.metrics import epoch_seconds

_ABOUT = (
    "K labels of each region are kept and scaled to sum to 1 (MR). Epoch: the median "
    "wall time of an epoch of training. 500 regions: the mean of three reads of 500 "
    "random regions from the table's files. Memory: the most that the process of this "
    "K had used, which on a CPU is mostly the program itself; tables, test features "
    "and compiled steps were made before it began. "
)


class _Kept(NamedTuple):
    """What one K came to with a method on a data set."""

    keep: int
    row: Row
    epoch: float  # seconds
    read: float  # seconds, of 500 regions
    memory: float | None  # MiB; None: not known
    disk: float | None  # bytes a region; None: not known


def keep_sheet(workdir: Path, published: Published) -> Sheet | None:
    """Figure 9: accuracy, epoch time, read time, memory and disk against K.

    Args:
      workdir: of the runs of `configs/paper/figure9.py`, one for each K.
      published: what the paper says beside its figures.

    Returns:
      None where there is no such run.

    Raises:
      UserError: a report, or the log of a cell, is not whole.
    """
    runs = finished_runs((workdir / "paper" / "figure9").glob("*/"))
    found = [
        _kept(run, row)
        for run in runs
        for row in run.rows
        if row.dataset in run.facts.tables
    ]
    if not found:
        return None
    found.sort(key=lambda one: (one.row.dataset, one.row.method, one.keep))
    titles = ["dataset", "method", "keep", *ACCURACIES, "epoch_seconds"]
    titles += ["read_seconds", "peak_memory_mib", "disk_bytes_a_region"]
    return Sheet(
        name="figure9",
        title="Figure 9: how many labels a region keeps",
        about=f"{_ABOUT}{claims('figure9', published)}",
        titles=(
            *("data set", "method", "K", "base", "new", "HM", "epoch (ms)"),
            *("500 regions (ms)", "memory (MiB)", "bytes a region"),
        ),
        lines=[_texts(one) for one in found],
        words=2,
        records=[titles, *(_record(one) for one in found)],
        facts=tuple(run.facts for run in runs),
        lost=lost(runs),
        panels=tuple(panel for panel in _panels(found) if panel.has_values),
    )


def _kept(run: Finished, row: Row) -> _Kept:
    table = run.facts.tables[row.dataset]
    epochs = statistics.fmean(epoch_seconds(cell) for cell in run.cells(row))
    disk = table.disk_bytes / table.regions or None
    memory = run.mebibytes(row)
    return _Kept(table.keep, row, epochs, table.read_seconds, memory, disk)


def _texts(one: _Kept) -> tuple[str, ...]:
    row, memory = one.row, one.memory
    return (
        *(row.dataset, row.method, str(one.keep)),
        *accuracy_texts(row),
        f"{1e3 * one.epoch:.1f}",
        f"{1e3 * one.read:.1f}",
        BLANK if memory is None else f"{memory:.0f}",
        BLANK if one.disk is None else f"{one.disk:.0f}",
    )


def _record(one: _Kept) -> list[object]:
    accuracies = (getattr(one.row, name) for name in ACCURACIES)
    costs = one.epoch, one.read, one.memory, one.disk
    return [one.row.dataset, one.row.method, one.keep, *accuracies, *costs]


def _panels(found: Sequence[_Kept]) -> tuple[Panel, ...]:
    name, what = "base", "accuracy"
    if has_new(one.row for one in found):
        name, what = "new", "accuracy on new classes"
    return (
        _panel(
            found,
            what,
            "%",
            lambda one: getattr(one.row, f"{name}_mean"),
            lambda one: getattr(one.row, f"{name}_std"),
        ),
        _panel(found, "an epoch of training", "ms", lambda one: 1e3 * one.epoch),
        _panel(found, "reading 500 random regions", "ms", lambda one: 1e3 * one.read),
        _panel(found, "peak memory", "MiB", lambda one: one.memory),
        _panel(found, "table on disk", "bytes a region", lambda one: one.disk),
    )


def _panel(
    found: Sequence[_Kept],
    title: str,
    unit: str,
    value: Callable[[_Kept], float | None],
    spread: Callable[[_Kept], float | None] = lambda one: None,
) -> Panel:
    keeps = sorted({one.keep for one in found})
    several = len({one.row.dataset for one in found}) > 1
    lines: dict[str, dict[int, _Kept]] = {}
    for one in found:
        label = f"{one.row.dataset} {one.row.method}" if several else one.row.method
        lines.setdefault(label, {})[one.keep] = one

    def along(read: Callable[[_Kept], float | None]):
        return {
            label: tuple(read(own[k]) if k in own else None for k in keeps)
            for label, own in lines.items()
        }

    names = tuple(str(keep) for keep in keeps)
    kind = "lines" if unit == "%" else "costs"
    return Panel(title, unit, names, along(value), kind, along(spread), "K")

"""The paper's figure 9: accuracy and costs against K, the number of kept labels."""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax.paper.finished import FinishedRun, finished_runs, lost
from fdbpl_jax.paper.published import Published, claims
from fdbpl_jax.paper.sheet import ACCURACIES, DATASET, METHOD, WHOLE, Sheet, column
from fdbpl_jax.plots import Panel
from fdbpl_jax.reports.columns import has_new
from fdbpl_jax.reports.results import Row
from fdbpl_jax.training.metrics import epoch_seconds

_ABOUT = (
    "K labels of each region are kept and scaled to sum to 1 (MR). Epoch: the median "
    "wall time of an epoch of training. 500 regions: the mean of three reads of 500 "
    "random regions from the table's files. Memory: the most that the process of this "
    "K had used, which on a CPU is mostly the program itself; tables, test features "
    "and compiled steps were made before it began. "
)


class _KeptLabels(NamedTuple):
    """What a method reached and cost with one K on a data set."""

    keep: int  # K
    row: Row
    epoch: float  # seconds
    read: float  # seconds, of 500 regions
    memory: float | None  # MiB; None: not known
    disk: float | None  # bytes per region; None: not known


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.1f}"


_COLUMNS = (
    *(DATASET, METHOD),
    column("K", "keep", lambda point: point.keep),
    *ACCURACIES,
    column("epoch (ms)", "epoch_seconds", lambda point: point.epoch, _milliseconds),
    column("500 regions (ms)", "read_seconds", lambda point: point.read, _milliseconds),
    column("memory (MiB)", "peak_memory_mib", lambda point: point.memory, WHOLE),
    column(
        "bytes per region", "disk_bytes_per_region", lambda point: point.disk, WHOLE
    ),
)


def keep_sheet(workdir: Path, published: Published) -> Sheet | None:
    """Make figure 9: accuracy, epoch time, read time, memory and disk against K."""
    runs = finished_runs((workdir / "paper" / "figure9").glob("*/"))
    points = [
        _point(run, row)
        for run in runs
        for row in run.trained
        if row.dataset in run.facts.tables
    ]
    if not points:
        return None
    points.sort(key=lambda point: (point.row.dataset, point.row.method, point.keep))
    return Sheet(
        name="figure9",
        title="Figure 9: how many labels a region keeps",
        about=f"{_ABOUT}{claims('figure9', published)}",
        columns=_COLUMNS,
        rows=points,
        facts=tuple(run.facts for run in runs),
        lost=lost(runs),
        panels=tuple(panel for panel in _panels(points) if panel.has_values),
    )


def _point(run: FinishedRun, row: Row) -> _KeptLabels:
    table = run.facts.tables[row.dataset]
    return _KeptLabels(
        keep=table.keep,
        row=row,
        epoch=statistics.fmean(epoch_seconds(cell) for cell in run.cells(row)),
        read=table.read_seconds,
        memory=run.mebibytes(row),
        disk=table.disk_bytes / table.regions or None,
    )


def _panels(points: Sequence[_KeptLabels]) -> list[Panel]:
    keeps = sorted({point.keep for point in points})
    several = len({point.row.dataset for point in points}) > 1

    def curves(value: Callable[[_KeptLabels], float | None]) -> dict[str, tuple]:
        by_label: dict[str, dict[int, float | None]] = {}
        for point in points:
            row = point.row
            label = f"{row.dataset} {row.method}" if several else row.method
            by_label.setdefault(label, {})[point.keep] = value(point)
        return {label: tuple(map(c.get, keeps)) for label, c in by_label.items()}

    names = tuple(map(str, keeps))
    title, half = "accuracy", "base"
    if has_new(point.row for point in points):
        title, half = "accuracy on new classes", "new"
    means = curves(lambda p: getattr(p.row, f"{half}_mean"))
    spreads = curves(lambda p: getattr(p.row, f"{half}_std"))
    costs = (
        ("an epoch of training", "ms", curves(lambda p: 1e3 * p.epoch)),
        ("reading 500 random regions", "ms", curves(lambda p: 1e3 * p.read)),
        ("peak memory", "MiB", curves(lambda p: p.memory)),
        ("table on disk", "bytes per region", curves(lambda p: p.disk)),
    )
    return [
        Panel(title, "%", names, means, "lines", spreads, "K"),
        *(Panel(title, unit, names, c, "costs", place="K") for title, unit, c in costs),
    ]

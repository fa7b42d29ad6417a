"""The paper's figures 1, 8, 9 and 10: what training reached, and what it cost."""

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from fdbpl_jax.paper.published import Published, claims
from fdbpl_jax.paper.sheet import (
    COMPILING,
    DATASET,
    METHOD,
    TRAINING,
    FinishedRun,
    Line,
    Sheet,
    by_dataset,
    finished_cells,
    finished_runs,
)
from fdbpl_jax.plots import Panel
from fdbpl_jax.reports.columns import (
    ACCURACIES,
    Column,
    accuracy_columns,
    seconds_text,
)
from fdbpl_jax.reports.figures import time_range
from fdbpl_jax.training.metrics import epoch_times

# Part of `configs/paper/figure10.py`, which is the run's folder: what is trained on.
COMPONENTS: Mapping[str, str] = {
    "kdpl": "KDPL",
    "pos": "L_pos",
    "neg": "+ L_neg",
    "diff1": "+ L_diff1",
    "diff2": "+ L_diff2",
}
_TIMES = (
    "Seconds of a training: its median epoch times the number of epochs, the median of "
    "the seeds and their range. Compiling and the RIL table, which is made once for "
    "all seeds and methods (hatched), are apart. 'KDPL's time' is that of the same "
    "learner with KDPL's loss, whose teacher sees every batch, over the line's own. "
)
_MEMORY = (
    "used beyond what it used before training; tables, test features and compiled "
    "steps were made before it began. On a CPU it is not shown: that of the program "
    "and its compiler hides it. "
)
_KEPT = (
    "K labels of each region are kept and scaled to sum to 1 (MR). Epoch: the median "
    "wall time of an epoch of training. 500 regions: the mean of three reads of 500 "
    "random regions from the table's files. Memory: the most that the process of this "
    f"K {_MEMORY}"
)
_PARTS = (
    "KDPL's loss with its teacher online, then FDBPL's loss with one term more in each "
    "line. A term that is left out has weight 0 and is not computed. Memory: the most "
    f"that the process of this line {_MEMORY}"
)
_MEMORY_COLUMN = Column("memory (MiB)", ("memory_mib",), "{:.0f}".format)
_TABLE = Column("RIL table (s)", ("table_seconds",), seconds_text)


def time_sheet(workdir: Path, published: Published) -> Sheet:
    """Make figures 1 and 8 from table 2: training time per data set and method."""
    runs = finished_runs(workdir, "table2")
    points = _points(runs)
    seconds = {(p["dataset"], p["method"]): p["epochs_seconds"] for p in points}
    for point in points:
        learner = point["method"].split("+")[0]
        kdpl = seconds.get((point["dataset"], f"{learner}+kdpl"))
        spent = point["epochs_seconds"]
        speed = kdpl / spent if kdpl and spent else None
        point |= {"kdpl_epochs_seconds": kdpl, "speed": speed}
    columns = (
        *(DATASET, METHOD, TRAINING, COMPILING, _TABLE),
        Column("", ("kdpl_epochs_seconds",)),
        Column("KDPL's time", ("speed",), "× {:.2f}".format, in_file=False),
    )
    groups = by_dataset(points).items()
    return Sheet(
        name="figure8",
        title="Figures 1 and 8: training time",
        about=_TIMES + _table_times(runs) + claims("figure8", published),
        columns=columns,
        lines=points,
        runs=runs,
        panels=[_training_panel(name, group, "method") for name, group in groups],
    )


def keep_sheet(workdir: Path, published: Published) -> Sheet:
    """Make figure 9: accuracy, epoch time, read time, memory and disk against K."""
    runs = finished_runs(workdir, "figure9/*")
    points = [p for p in _points(runs) if p["dataset"] in p["run"].facts.tables]
    for point in points:
        run, dataset = point["run"], point["dataset"]
        cells = finished_cells(run.folder, dataset, point["method"])
        epoch = statistics.median(epoch_times(cell).median for cell in cells)
        table = run.facts.tables[dataset]
        point |= {
            "keep": table.keep,
            "epoch_seconds": epoch,
            "epoch_ms": 1e3 * epoch,
            "read_seconds": table.read_seconds,
            "read_ms": 1e3 * table.read_seconds,
            "disk_bytes_per_region": table.disk_bytes / table.regions or None,
        }
    points.sort(key=itemgetter("dataset", "method", "keep"))
    columns = (
        *(DATASET, METHOD, Column("K", ("keep",)), *accuracy_columns(True)),
        Column("epoch (ms)", ("epoch_ms",), "{:.1f}".format, in_file=False),
        Column("500 regions (ms)", ("read_ms",), "{:.1f}".format, in_file=False),
        *(Column("", ("epoch_seconds",)), Column("", ("read_seconds",))),
        *([_MEMORY_COLUMN] if _has_memory(points) else ()),
        Column("bytes per region", ("disk_bytes_per_region",), "{:.0f}".format),
    )
    return Sheet(
        name="figure9",
        title="Figure 9: how many labels a region keeps",
        about=_KEPT + claims("figure9", published),
        columns=columns,
        lines=points,
        runs=runs if points else (),
        panels=[panel for panel in _keep_panels(points) if panel.has_values],
    )


def component_sheet(workdir: Path, published: Published) -> Sheet:
    """Make figure 10: accuracy, training time and memory, part by part."""
    parts = [finished_runs(workdir, f"figure10/{part}") for part in COMPONENTS]
    runs = list(itertools.chain(*parts))
    points = _points(runs)
    kdpl = [p for p in points if p["trained_on"] == COMPONENTS["kdpl"]]
    totals = {p["dataset"]: p["memory_mib"] for p in kdpl if p["memory_mib"]}
    share = Column("of KDPL's memory (%)", ("share",), "{:.0f}".format, in_file=False)
    memory = _MEMORY_COLUMN, share
    for point in points:
        part, total = point["memory_mib"], totals.get(point["dataset"])
        point["share"] = 100 * (part / total) if part and total else None
    groups = by_dataset(points)
    columns = (
        *(DATASET, Column("trained on", ("trained_on",), word=True)),
        *(*accuracy_columns(True), TRAINING, COMPILING),
        *(memory if _has_memory(points) else ()),
    )
    panels = [panel for item in groups.items() for panel in _part_panels(*item)]
    return Sheet(
        name="figure10",
        title="Figure 10: the parts of FDBPL",
        about=_PARTS + claims("figure10", published),
        columns=columns,
        lines=list(itertools.chain(*groups.values())),
        runs=runs,
        panels=[panel for panel in panels if panel.has_values],
    )


def _points(runs: Iterable[FinishedRun]) -> list[dict[str, Any]]:
    """Return the trained rows of the runs, with the run, its part and its memory."""
    points = []
    for run in runs:
        part, on_cpu = COMPONENTS.get(run.folder.name), "cpu" in run.facts.device
        for row in run.trained:
            size = None if on_cpu else row.memory_bytes
            costs = {"memory_mib": size / 2**20 if size else None}
            points.append(vars(row) | costs | {"run": run, "trained_on": part})
    return points


def _has_memory(points: Iterable[Line]) -> bool:
    return any(point["memory_mib"] is not None for point in points)


def _table_times(runs: Sequence[FinishedRun]) -> str:
    built = [
        f"{name} {seconds_text(table.seconds)} s for {table.regions:,} regions"
        for run in runs
        for name, table in run.facts.tables.items()
        if table.built
    ]
    return f"RIL tables made in this run: {', '.join(built)}. " if built else ""


def _training_panel(dataset: str, points: Sequence[Line], compared: str) -> Panel:
    names, seconds, tables = (
        tuple(point[name] for point in points)
        for name in (compared, "epochs_seconds", "table_seconds")
    )
    return Panel(
        title=f"training on {dataset}",
        unit="seconds (hatched: RIL table)" if any(tables) else "seconds",
        names=names,
        series={"": seconds},
        kind="bars",
        texts=tuple(map(_time_text, points)),
        ranges=tuple(map(time_range, points)),
        hatched=tables,
    )


def _time_text(point: Line) -> str:
    """The texts of the table."""
    training, table = TRAINING.written(point), _TABLE.written(point)
    return f"{training} + {table}" if point["table_seconds"] else training


def _part_panels(dataset: str, points: Sequence[Line]) -> list[Panel]:
    def values(name: str) -> tuple[Any, ...]:
        return tuple(point[name] for point in points)

    known = {t: n for t, n in ACCURACIES.items() if set(values(n[0])) != {None}}
    means = {title: values(mean) for title, (mean, _) in known.items()}
    spreads = {title: values(std) for title, (_, std) in known.items()}
    names, memory = values("trained_on"), {"": values("memory_mib")}
    return [
        Panel(f"accuracy on {dataset}", "%", names, means, "dots", spreads),
        _training_panel(dataset, points, "trained_on"),
        Panel(f"memory on {dataset}", "MiB", names, memory, "bars"),
    ]


def _keep_panels(points: Sequence[Line]) -> list[Panel]:
    keeps = sorted({point["keep"] for point in points})
    several = len(by_dataset(points)) > 1
    curves: dict[str, dict[int, Line]] = {}
    for point in points:
        label = f"{point['dataset']} {point['method']}" if several else point["method"]
        curves.setdefault(label, {})[point["keep"]] = point

    def values(name: str) -> dict[str, tuple]:
        return {
            label: tuple(curve.get(keep, {}).get(name) for keep in keeps)
            for label, curve in curves.items()
        }

    names = tuple(map(str, keeps))
    title, half = "accuracy", "base"
    if any(point["new_mean"] is not None for point in points):
        title, half = "accuracy on new classes", "new"
    mean, std = map(values, ACCURACIES[half])
    costs = (
        ("an epoch of training", "ms", "epoch_ms"),
        ("reading 500 random regions", "ms", "read_ms"),
        ("memory", "MiB", "memory_mib"),
        ("table on disk", "bytes per region", "disk_bytes_per_region"),
    )
    return [
        Panel(title, "%", names, mean, "lines", std, "K"),
        *(Panel(t, unit, names, values(n), "costs", place="K") for t, unit, n in costs),
    ]

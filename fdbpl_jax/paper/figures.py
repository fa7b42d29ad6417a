"""The paper's figures 1, 8 and 10: training time, and the parts of FDBPL's loss.

Both compare with KDPL's loss, whose teacher sees every batch.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax.paper.finished import FinishedRun, by_dataset, finished_runs, lost
from fdbpl_jax.paper.published import Published, claims
from fdbpl_jax.paper.sheet import (
    ACCURACIES,
    DATASET,
    METHOD,
    TRAINING,
    WHOLE,
    Sheet,
    column,
)
from fdbpl_jax.plots import Panel
from fdbpl_jax.reports.columns import seconds_text
from fdbpl_jax.reports.facts import RunFacts
from fdbpl_jax.reports.results import Row

# Part of `configs/paper/figure10.py`, which is the run's folder: what is trained on.
COMPONENTS: Mapping[str, str] = {
    "kdpl": "KDPL",
    "pos": "L_pos",
    "neg": "+ L_neg",
    "diff1": "+ L_diff1",
    "diff2": "+ L_diff2",
}
_TIMES = (
    "Seconds of a training with all its epochs, mean over seeds, with compilation and "
    "reading, without the RIL table, which is made once. 'KDPL's time' is that of the "
    "same learner with KDPL's loss, whose teacher sees every batch, over the line's "
    "own. "
)
_PARTS = (
    "KDPL's loss with its teacher online, then FDBPL's loss with one term more in each "
    "line. A term that is left out has weight 0 and is computed all the same, so the "
    "lines of FDBPL differ in accuracy and hardly in cost. Memory: the most that the "
    "process of this line had used, which on a CPU is mostly the program itself; "
    "tables, test features and compiled steps were made before it began. "
)


class _Point(NamedTuple):
    """A trained row of a finished run, with its costs."""

    run: FinishedRun
    row: Row
    memory: float | None  # MiB; None: not known

    @property
    def part(self) -> str:
        """What figure 10 calls its loss."""
        return COMPONENTS[self.run.folder.name]


def _points(runs: Iterable[FinishedRun]) -> list[_Point]:
    return [_Point(r, row, r.mebibytes(row)) for r in runs for row in r.trained]


def _ratio(part: float | None, reference: float | None) -> float | None:
    return part / reference if part and reference else None


def time_sheet(workdir: Path, published: Published) -> Sheet | None:
    """Make figures 1 and 8 from table 2: training time per data set and method."""
    runs = finished_runs([workdir / "paper" / "table2"])
    if not runs:
        return None
    points = _points(runs)
    seconds = {(p.row.dataset, p.row.method): p.row.train_seconds for p in points}

    def kdpl_seconds(point: _Point) -> float | None:
        """Training time of the same learner with KDPL's loss."""
        learner = point.row.method.split("+")[0]
        return seconds.get((point.row.dataset, f"{learner}+kdpl"))

    about = _TIMES + _table_times(runs[0].facts)
    return Sheet(
        name="figure8",
        title="Figures 1 and 8: training time",
        about=about + claims("figure8", published),
        columns=(
            *(DATASET, METHOD, TRAINING),
            column("", "kdpl_train_seconds", kdpl_seconds),
            column(
                "KDPL's time",
                "",
                lambda p: _ratio(kdpl_seconds(p), p.row.train_seconds),
                "× {:.2f}".format,
            ),
        ),
        rows=points,
        facts=(runs[0].facts,),
        lost=lost(runs),
        panels=tuple(
            _training(dataset, group, [point.row.method for point in group])
            for dataset, group in by_dataset(points).items()
        ),
    )


def _table_times(facts: RunFacts) -> str:
    built = [
        f"{name} {seconds_text(table.seconds)} s for {table.regions:,} regions"
        for name, table in facts.tables.items()
        if table.built
    ]
    return f"RIL tables made in this run: {', '.join(built)}. " if built else ""


def _training(dataset: str, points: Sequence[_Point], names: Sequence[str]) -> Panel:
    seconds = tuple(point.row.train_seconds for point in points)
    title = f"training on {dataset}"
    return Panel(title, "seconds", tuple(names), {"": seconds}, "bars")


def component_sheet(workdir: Path, published: Published) -> Sheet | None:
    """Make figure 10: accuracy, training time and memory, part by part."""
    runs = finished_runs(workdir / "paper" / "figure10" / part for part in COMPONENTS)
    if not runs:
        return None
    points = _points(runs)
    kdpl_memory = {
        p.row.dataset: p.memory for p in points if p.part == "KDPL" and p.memory
    }
    groups = by_dataset(points)
    panels = [panel for item in groups.items() for panel in _part_panels(*item)]
    return Sheet(
        name="figure10",
        title="Figure 10: the parts of FDBPL",
        about=_PARTS + claims("figure10", published),
        columns=(
            DATASET,
            column("trained on", "trained_on", lambda p: p.part, word=True),
            *(*ACCURACIES, TRAINING),
            column("memory (MiB)", "peak_memory_mib", lambda p: p.memory, WHOLE),
            column(
                "of KDPL's memory (%)",
                "",
                lambda p: _ratio(p.memory, kdpl_memory.get(p.row.dataset)),
                lambda ratio: f"{100 * ratio:.0f}",
            ),
        ),
        rows=list(itertools.chain(*groups.values())),
        facts=tuple(run.facts for run in runs),
        lost=lost(runs),
        panels=tuple(panel for panel in panels if panel.has_values),
    )


def _part_panels(dataset: str, points: Sequence[_Point]) -> list[Panel]:
    names = tuple(point.part for point in points)
    means, spreads = {}, {}
    for accuracy in ACCURACIES:
        values = [accuracy.values(point) for point in points]
        if any(mean is not None for mean, _ in values):
            columns = zip(*values, strict=True)
            means[accuracy.title], spreads[accuracy.title] = columns
    memory = {"": tuple(point.memory for point in points)}
    return [
        Panel(f"accuracy on {dataset}", "%", names, means, "dots", spreads),
        _training(dataset, points, names),
        Panel(f"peak memory on {dataset}", "MiB", names, memory, "bars"),
    ]

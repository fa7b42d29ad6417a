"""The paper's figure 10: what each part of FDBPL's loss adds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax.paper.finished import (
    ACCURACIES,
    accuracy_texts,
    claims,
    finished_runs,
    lost,
)
from fdbpl_jax.paper.published import Published
from fdbpl_jax.paper.sheet import Panel, Sheet
from fdbpl_jax.reports.columns import BLANK, seconds_text
from fdbpl_jax.reports.results import Row

# Part of `configs/paper/figure10.py`, which is the run's folder: what is trained on.
COMPONENTS: Mapping[str, str] = {
    "kdpl": "KDPL",
    "pos": "L_pos",
    "neg": "+ L_neg",
    "diff1": "+ L_diff1",
    "diff2": "+ L_diff2",
}
_ABOUT = (
    "KDPL's loss with its teacher online, then FDBPL's loss with one term more in each "
    "line. A term that is left out has weight 0 and is computed all the same, so the "
    "lines of FDBPL differ in accuracy and hardly in cost. Memory: the most that the "
    "process of this line had used, which on a CPU is mostly the program itself; "
    "tables, test features and compiled steps were made before it began. "
)
_SERIES = (
    ("base", "base_mean", "base_std"),
    ("new", "new_mean", "new_std"),
    ("HM", "hm", "hm_std"),
)


class _Part(NamedTuple):
    """What one of `COMPONENTS` came to on a data set."""

    name: str  # as the figure calls it
    row: Row
    memory: float | None  # MiB; None: not known


def component_sheet(workdir: Path, published: Published) -> Sheet | None:
    """Figure 10: accuracy, training time and memory, part by part.

    Args:
      workdir: of the runs of `configs/paper/figure10.py`, one for each part.
      published: what the paper says beside its figures.

    Returns:
      None where there is no such run.

    Raises:
      UserError: a report is not whole.
    """
    runs = finished_runs(workdir / "paper" / "figure10" / part for part in COMPONENTS)
    if not runs:
        return None
    mixed = [
        _Part(COMPONENTS[run.folder.name], row, run.mebibytes(row))
        for run in runs
        for row in run.rows
    ]
    datasets = list(dict.fromkeys(part.row.dataset for part in mixed))
    parts = [p for name in datasets for p in mixed if p.row.dataset == name]
    return Sheet(
        name="figure10",
        title="Figure 10: the parts of FDBPL",
        about=f"{_ABOUT}{claims('figure10', published)}",
        titles=(
            *("data set", "trained on", "base", "new", "HM"),
            *("training (s)", "memory (MiB)", "of KDPL's memory (%)"),
        ),
        lines=[_texts(part, parts) for part in parts],
        words=2,
        records=_records(parts),
        facts=tuple(run.facts for run in runs),
        lost=lost(runs),
        panels=tuple(
            panel
            for name in datasets
            for panel in _panels(name, parts)
            if panel.has_values
        ),
    )


def _texts(part: _Part, parts: Sequence[_Part]) -> tuple[str, ...]:
    row, memory, share = part.row, part.memory, _of_kdpl(part, parts)
    return (
        *(row.dataset, part.name),
        *accuracy_texts(row),
        seconds_text(row.train_seconds),
        BLANK if memory is None else f"{memory:.0f}",
        BLANK if share is None else f"{100 * share:.0f}",
    )


def _of_kdpl(own: _Part, parts: Sequence[_Part]) -> float | None:
    """Its memory as a share of KDPL's on the same data set."""
    for part in parts:
        same = part.row.dataset == own.row.dataset
        if same and part.name == COMPONENTS["kdpl"] and part.memory and own.memory:
            return own.memory / part.memory
    return None


def _records(parts: Sequence[_Part]) -> list[list[object]]:
    names = [*ACCURACIES, "train_seconds"]
    lines = [
        [p.row.dataset, p.name, *(getattr(p.row, name) for name in names), p.memory]
        for p in parts
    ]
    return [["dataset", "trained_on", *names, "peak_memory_mib"], *lines]


def _panels(dataset: str, parts: Sequence[_Part]) -> tuple[Panel, ...]:
    own = [part for part in parts if part.row.dataset == dataset]
    names = tuple(part.name for part in own)

    def along(field: str) -> tuple[float | None, ...]:
        return tuple(getattr(part.row, field) for part in own)

    shown = [s for s in _SERIES if any(value is not None for value in along(s[1]))]
    memory = tuple(part.memory for part in own)
    return (
        Panel(
            title=f"accuracy on {dataset}",
            unit="%",
            names=names,
            series={label: along(mean) for label, mean, _ in shown},
            kind="dots",
            spreads={label: along(std) for label, _, std in shown},
        ),
        _cost(f"training on {dataset}", "seconds", names, along("train_seconds")),
        _cost(f"peak memory on {dataset}", "MiB", names, memory),
    )


def _cost(
    title: str, unit: str, names: tuple[str, ...], values: tuple[float | None, ...]
) -> Panel:
    return Panel(title, unit, names, {"": values}, "bars")

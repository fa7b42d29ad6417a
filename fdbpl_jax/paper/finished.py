"""Finished runs of `configs/paper/`, as sheets read them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from fdbpl_jax.reports.columns import missing
from fdbpl_jax.reports.facts import RunFacts
from fdbpl_jax.reports.results import AVERAGE, Row
from fdbpl_jax.reports.write import read_report


class FinishedRun(NamedTuple):
    """A run that left a report."""

    folder: Path
    rows: tuple[Row, ...]
    facts: RunFacts

    @property
    def trained(self) -> list[Row]:
        """The rows of what it trained, without averages."""
        return [r for r in self.rows if r.trained_values and r.dataset != AVERAGE]

    @property
    def dataset(self) -> str:
        """Its first data set."""
        return next(iter(self.facts.sizes))

    def cells(self, row: Row) -> list[Path]:
        """Return the folders of the row's finished cells."""
        folder = self.folder / row.dataset / ",".join(row.method.split())
        return sorted(file.parent for file in folder.glob("seed*/results.jsonl"))

    def mebibytes(self, row: Row) -> float | None:
        """Return the peak memory while the row was trained; None: not known.

        A process's peak never falls, so only what it trained first has its own.
        """
        if row != self.trained[0] or not row.peak_memory_bytes:
            return None
        return row.peak_memory_bytes / 2**20


def finished_runs(folders: Iterable[Path]) -> list[FinishedRun]:
    """Read the reports of those folders that hold one; see `read_report`."""
    return [
        FinishedRun(folder, *read_report(folder))
        for folder in folders
        if (folder / "report.json").exists()
    ]


def by_dataset(lines: Iterable[Any]) -> dict[str, list[Any]]:
    """Group the lines of a sheet, which have a `row`, by its data set."""
    groups: dict[str, list[Any]] = {}
    for line in lines:
        groups.setdefault(line.row.dataset, []).append(line)
    return groups


def lost(runs: Iterable[FinishedRun]) -> tuple[str, ...]:
    """Say what the runs lack, in sentences, each once."""
    sentences = [s for run in runs for s in (*missing(run.rows), *run.facts.failures)]
    return tuple(dict.fromkeys(sentences))

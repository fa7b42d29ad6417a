"""Sheets: the paper's tables and figures, made from our runs.

The page, Markdown, CSV and PNG are all written from a sheet.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fdbpl_jax.plots import Panel
from fdbpl_jax.reports.columns import (
    EPOCHS,
    Column,
    TextTable,
    missing,
    range_text,
    seconds_text,
    text_table,
)
from fdbpl_jax.reports.facts import RunFacts
from fdbpl_jax.reports.results import AVERAGE, Row
from fdbpl_jax.reports.text import markdown_table, missing_cells
from fdbpl_jax.reports.write import read_report

DATASET = Column("data set", ("dataset",), word=True)
METHOD = Column("method", ("method",), word=True)
TRAINING = Column("training (s)", EPOCHS, range_text)
COMPILING = Column("compiling (s)", ("compile_seconds",), seconds_text)
Line = Mapping[str, Any]  # of a sheet: the values that its columns name


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


def finished_runs(workdir: Path, pattern: str) -> tuple[FinishedRun, ...]:
    """Read the reports in those folders of `<workdir>/paper`; see `read_report`."""
    files = sorted((workdir / "paper").glob(f"{pattern}/report.json"))
    return tuple(FinishedRun(f.parent, *read_report(f.parent)) for f in files)


def finished_cells(folder: Path, dataset: str, method: str) -> list[Path]:
    """List the folders of a run's finished cells, by seed."""
    cells = folder / dataset / ",".join(method.split())
    return sorted(file.parent for file in cells.glob("seed*/results.jsonl"))


def by_dataset(lines: Iterable[Line]) -> dict[str, list[Line]]:
    """Group lines by their data set."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line["dataset"], []).append(line)
    return groups


@dataclasses.dataclass(frozen=True)
class Sheet:
    """One of the paper's tables or figures from our runs."""

    name: str  # "table2", "figure9"
    title: str
    about: str  # how to read it; may be empty
    columns: Sequence[Column]  # those of words first
    lines: Sequence[Line]
    runs: Sequence[FinishedRun]  # that it is made from
    limit: int | None = None  # lines on the page; the CSV file has all
    panels: Sequence[Panel] = ()  # of a figure
    picture: bytes = b""  # a figure that is a picture: PNG
    published: TextTable | None = None

    @property
    def table(self) -> TextTable:
        """What the page shows of the lines."""
        return text_table(self.columns, self.lines[: self.limit])

    @property
    def records(self) -> list[list[object]]:
        """Lines of the CSV file: names, then all lines in full precision."""
        columns = [column for column in self.columns if column.in_file]
        names = [name for column in columns for name in column.names]
        return [names, *([line[name] for name in names] for line in self.lines)]

    @property
    def lost(self) -> tuple[str, ...]:
        """What the runs lack, in sentences, each once; a picture needs no whole run."""
        sentences = [
            s for r in self.runs for s in (*missing(r.rows), *r.facts.failures)
        ]
        return () if self.picture else tuple(dict.fromkeys(sentences))

    @property
    def made_with(self) -> str:
        """Which models and devices our numbers were made with."""
        facts = [run.facts for run in self.runs]
        pairs = dict.fromkeys(
            f"student {f.student}, teacher {f.teacher}" for f in facts
        )
        devices = dict.fromkeys(f.device for f in facts)
        loads = dict.fromkeys(f.load for f in facts if f.load)
        load = f" Load: {'; '.join(loads)}." if loads else ""
        return f"Ours: {'; '.join(pairs)}; on {', '.join(devices)}.{load}"


def markdown(sheets: Sequence[Sheet]) -> str:
    """Write each sheet as Markdown: its models, how to read it, and its lines."""
    parts = []
    for sheet in sheets:
        parts += [f"## {sheet.title}", sheet.made_with]
        parts += [sheet.about] if sheet.about else []
        parts += [*missing_cells(sheet.lost), markdown_table(sheet.table)]
    return "\n\n".join(parts) + "\n"

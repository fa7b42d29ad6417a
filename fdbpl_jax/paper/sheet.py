"""Sheets: the paper's tables and figures, made from our runs.

The page, Markdown, CSV and PNG are all written from a sheet. Its columns read its rows:
one description of a column gives the text on the page and the values in the CSV file.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fdbpl_jax.plots import Panel
from fdbpl_jax.reports.columns import BLANK, accuracy_text, seconds_text
from fdbpl_jax.reports.facts import RunFacts
from fdbpl_jax.reports.text import bullets, markdown_table


class SheetColumn(NamedTuple):
    """A column of a sheet, and how it reads a row."""

    title: str  # on the page; empty: the column is in the CSV file alone
    names: tuple[str, ...]  # of its values in the CSV file; empty: not in that file
    values: Callable[[Any], Sequence[object]]  # of a row
    text: Callable[..., str]  # of these values, for the page
    word: bool = False  # words stand at the left, numbers at the right


def column(
    title: str,
    name: str,
    value: Callable[[Any], object],
    text: Callable[[Any], str] = str,
    word: bool = False,
) -> SheetColumn:
    """Make a column of one value, blank where it is None; see `SheetColumn`."""
    return SheetColumn(
        title,
        (name,) if name else (),
        lambda row: (value(row),),
        lambda content: BLANK if content is None else text(content),
        word,
    )


def report_column(title: str, *names: str, text: Callable[..., str]) -> SheetColumn:
    """Make a column of fields of a `Row`, which each row of the sheet has as `row`."""
    return SheetColumn(
        title, names, lambda line: [getattr(line.row, name) for name in names], text
    )


DATASET = report_column("data set", "dataset", text=str)._replace(word=True)
METHOD = report_column("method", "method", text=str)._replace(word=True)
ACCURACIES = (
    report_column("base", "base_mean", "base_std", text=accuracy_text),
    report_column("new", "new_mean", "new_std", text=accuracy_text),
    report_column("HM", "hm", "hm_std", text=accuracy_text),
)
WHOLE = "{:.0f}".format  # the text of a value without decimals
TRAINING = report_column("training (s)", "train_seconds", text=seconds_text)


class PublishedTable(NamedTuple):
    """A table as the paper has it."""

    titles: Sequence[str]
    lines: Sequence[tuple[str, ...]]
    words: int  # leading columns that hold words


@dataclasses.dataclass(frozen=True)
class Sheet:
    """One of the paper's tables or figures from our runs."""

    name: str  # "table2", "figure9"
    title: str
    about: str  # how to read it; may be empty
    columns: Sequence[SheetColumn]  # those of words first
    rows: Sequence[Any]  # what the columns read
    facts: tuple[RunFacts, ...]  # of the runs it is made from
    lost: tuple[str, ...] = ()  # what is missing, in sentences
    limit: int | None = None  # rows on the page; the CSV file has all
    panels: tuple[Panel, ...] = ()  # of a figure
    picture: bytes = b""  # a figure that is a picture: PNG
    published: PublishedTable | None = None

    @property
    def titles(self) -> tuple[str, ...]:
        """Titles of the columns on the page."""
        return tuple(column.title for column in self._shown)

    @property
    def lines(self) -> list[tuple[str, ...]]:
        """Texts of the rows on the page."""
        return [
            tuple(column.text(*column.values(row)) for column in self._shown)
            for row in self.rows[: self.limit]
        ]

    @property
    def words(self) -> int:
        """How many leading columns on the page hold words."""
        return sum(column.word for column in self._shown)

    @property
    def _shown(self) -> list[SheetColumn]:
        return [column for column in self.columns if column.title]

    @property
    def records(self) -> list[list[object]]:
        """Lines of the CSV file: names, then all rows in full precision."""
        columns = [column for column in self.columns if column.names]
        lines: list[list[object]] = [[n for column in columns for n in column.names]]
        for row in self.rows:
            lines.append([v for column in columns for v in column.values(row)])
        return lines

    @property
    def made_with(self) -> str:
        """Which models and devices our numbers were made with."""
        pairs = dict.fromkeys(
            f"student {facts.student}, teacher {facts.teacher}" for facts in self.facts
        )
        devices = dict.fromkeys(facts.device for facts in self.facts)
        return f"Ours: {'; '.join(pairs)}; on {', '.join(devices)}."


def markdown(sheets: Sequence[Sheet]) -> str:
    """Write each sheet as Markdown: its models, how to read it, and its lines."""
    parts = []
    for sheet in sheets:
        parts += [f"## {sheet.title}", sheet.made_with]
        if sheet.about:
            parts.append(sheet.about)
        if sheet.lost:
            parts.append(f"**Missing cells**\n\n{bullets(sheet.lost)}")
        parts.append(markdown_table(sheet.titles, sheet.lines, left=sheet.words))
    return "\n\n".join(parts) + "\n"

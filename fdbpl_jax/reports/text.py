"""The report for a terminal, and as Markdown."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from tabulate import tabulate

from fdbpl_jax.errors import printable
from fdbpl_jax.reports.columns import (
    HOW_TO_REJECT,
    REJECTION_TITLES,
    columns,
    how_to_read,
    missing,
    row_table,
)
from fdbpl_jax.reports.facts import TABLE_TITLES, RunFacts, fact_texts, table_texts
from fdbpl_jax.reports.results import Row

_TERMINAL_WIDTH = 100


def terminal_table(rows: Sequence[Row]) -> str:
    """The rows as aligned plain text, no line wider than 100 columns if that can be.

    Under the name of each data set is a line per method, at the end what is missing. A
    long name loses its middle, unless two names would then look the same.
    """
    names = [f"  {row.method}" for row in rows]
    table = _terminal_lines(rows, names)
    longest = max(map(len, names), default=0)
    room = longest - max(0, max(map(len, table)) - _TERMINAL_WIDTH)
    short = [shorten(name, room) for name in names]
    if len(set(short)) == len(set(names)):  # settings of a sweep must be told apart
        table = _terminal_lines(rows, short)
    table += [shorten(f"Missing: {what}", _TERMINAL_WIDTH) for what in missing(rows)]
    return "\n".join(table)


def _terminal_lines(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    shown = [column for column in columns(rows) if column.terminal_title]
    grid = _aligned([[column.text(row) for column in shown] for row in rows])
    width = max(map(len, names), default=0)
    titles = zip(*(c.terminal_title.split("\n") for c in shown), strict=True)
    lines: list[Sequence[str]] = [["", *line] for line in titles]
    parts = zip(rows, names, grid, strict=True)
    for dataset, group in groupby(parts, lambda part: part[0].dataset):
        lines.append([shorten(printable(dataset), width)])
        lines += [[name, *texts] for _, name, texts in group]
    return tabulate(
        lines,
        tablefmt="plain",
        colalign=["left"] + ["right"] * len(shown),
        disable_numparse=True,
        preserve_whitespace=True,
    ).splitlines()


def _aligned(grid: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The texts without blanks around ±, padded to put a column's means in line."""
    padded = []
    for column in zip(*grid, strict=True):
        parts = [text.replace(" ± ", "±").partition("±") for text in column]
        spread = max(len(sign + std) for _, sign, std in parts)
        padded.append([m + (sign + std).ljust(spread) for m, sign, std in parts])
    return list(zip(*padded, strict=True))


def markdown(rows: Sequence[Row], facts: RunFacts) -> str:
    """The whole report as GitHub-flavoured Markdown."""
    parts = [f"# {_escape(facts.protocol)}"]
    if lost := (*missing(rows), *facts.failures):
        parts.append("**Missing cells**\n\n" + bullets(lost))
    parts.append(markdown_table(*row_table(rows), left=2))
    parts.append(bullets(how_to_read(rows)))
    if facts.tables:
        table = markdown_table(TABLE_TITLES, table_texts(facts), left=1)
        parts += ["## RIL tables", table]
    if facts.rejection:
        table = markdown_table(REJECTION_TITLES, facts.rejection, left=4)
        parts += ["## Rejection", HOW_TO_REJECT, table]
    if facts.notes:
        parts += ["## Notes", bullets(facts.notes)]
    parts += ["## How this was made", _code(facts.command)]
    parts.append(bullets(": ".join(pair) for pair in fact_texts(facts)))
    if facts.config:
        parts += ["## Settings", bullets(": ".join(pair) for pair in facts.config)]
    return "\n\n".join(parts) + "\n"


def shorten(text: str, width: int) -> str:
    """The text, its middle replaced by … if it is longer than `width` characters."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return text[:head] + "…" + text[len(text) - (width - 1 - head) :]


def markdown_table(
    titles: Sequence[str], body: Iterable[Sequence[str]], left: int
) -> str:
    """A Markdown table whose first `left` columns are left-aligned."""
    lines = [[_escape(text) for text in line] for line in body]
    sides = ["left" if n < left else "right" for n in range(len(titles))]
    return tabulate(lines, titles, "pipe", colalign=sides, disable_numparse=True)


def bullets(texts: Iterable[str]) -> str:
    """A Markdown list of plain texts."""
    return "\n".join(f"- {_escape(text)}" for text in texts)


def _escape(text: str) -> str:
    """Plain text for Markdown: no markup, no HTML, one line."""
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", printable(" ".join(text.split())))


def _code(text: str) -> str:
    """An indented block: unlike a fence, nothing inside can end it."""
    return "\n".join(f"    {printable(line)}" for line in text.splitlines())

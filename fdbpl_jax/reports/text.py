"""The report for a terminal, and as Markdown."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from tabulate import tabulate

from fdbpl_jax.data.types import first_few
from fdbpl_jax.errors import printable
from fdbpl_jax.reports.columns import (
    TextTable,
    columns,
    how_to_read,
    missing,
    row_table,
    text_table,
)
from fdbpl_jax.reports.facts import RunFacts, fact_texts, sections, tested_texts
from fdbpl_jax.reports.results import Row

_TERMINAL_WIDTH = 110


def terminal_table(rows: Sequence[Row]) -> str:
    """The rows as aligned plain text, no line wider than 110 columns if that can be.

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


def terminal_notes(facts: RunFacts) -> str:
    """Test images and cautions, as lines under the table of a terminal."""
    lines = [
        f"{what}: {first_few(part.class_names)}"
        for (what, _), part in zip(tested_texts(facts), facts.tested, strict=True)
    ]
    return "\n".join([*lines, *(f"Caution: {text}" for text in facts.cautions)])


def _terminal_lines(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    shown = [c for c in columns(rows) if c.title and c.terminal_title]
    grid = _aligned(text_table(shown, map(vars, rows)).lines)
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
    parts += missing_cells((*missing(rows), *facts.failures))
    if facts.cautions:
        parts.append("**Cautions**\n\n" + bullets(facts.cautions))
    parts += [markdown_table(row_table(rows)), bullets(how_to_read(rows))]
    if facts.tested:
        parts += ["## Test images", bullets(map(": ".join, tested_texts(facts)))]
    for title, about, table in sections(facts):
        parts += filter(None, [f"## {title}", about, markdown_table(table)])
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


def markdown_table(table: TextTable) -> str:
    """The table in Markdown."""
    titles, lines, words = table
    sides = ["left" if n < words else "right" for n in range(len(titles))]
    lines = [[_escape(text) for text in line] for line in lines]
    return tabulate(lines, titles, "pipe", colalign=sides, disable_numparse=True)


def missing_cells(texts: Sequence[str]) -> list[str]:
    """What is missing as a part of a Markdown page, if anything is."""
    return [f"**Missing cells**\n\n{bullets(texts)}"] if texts else []


def bullets(texts: Iterable[str]) -> str:
    """A Markdown list of plain texts."""
    return "\n".join(f"- {_escape(text)}" for text in texts)


def _escape(text: str) -> str:
    """Plain text for Markdown: no markup, no HTML, one line."""
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", printable(" ".join(text.split())))


def _code(text: str) -> str:
    """An indented block: unlike a fence, nothing inside can end it."""
    return "\n".join(f"    {printable(line)}" for line in text.splitlines())

"""The table of a protocol in words: for a terminal, and as Markdown."""

import re
from collections.abc import Iterable, Sequence

from fdbpl_jax.reports.facts import TABLE_COLUMNS, RunFacts, fact_texts, table_texts
from fdbpl_jax.reports.numbers import BLANK, accuracy_text, seconds_text
from fdbpl_jax.reports.rejection_text import HOW_TO_REJECT, REJECTION_COLUMNS
from fdbpl_jax.reports.results import AVERAGE, Row

# Columns after the data set and the method, and how a terminal breaks their titles.
COLUMNS = (
    "base",
    "new",
    "HM",
    "HM of means",
    "training time (s)",
    "of it waiting for data (%)",
    "test time (s)",
    "trained values",
    "peak memory (MiB)",
    "seeds",
)
_TERMINAL_TITLES = {  # what there is room for
    "accuracy": ("", "accuracy"),
    "base": ("", "base"),
    "new": ("", "new"),
    "HM": ("", "HM"),
    "HM of means": ("HM of", "means"),
    "training time (s)": ("train", "s"),
    "test time (s)": ("test", "s"),
    "peak memory (MiB)": ("memory", "MiB"),
    "seeds": ("", "seeds"),
}
_TERMINAL_WIDTH = 100

HOW_TO_READ = (
    "Accuracies are in percent, mean ± sample standard deviation over seeds.",
    "HM is the mean of harmonic means: of the seeds, and in the average rows of the "
    "data sets, as KDPL and FDBPL report it. HM of means is the harmonic mean of the "
    "mean accuracies, as CoCoOp, MaPLe and PromptSRC report it.",
    "Times are means over seeds. The training time leaves out the RIL table, which is "
    "built once and listed on its own.",
    "Waiting for data is the share of the training time in which the device had "
    "nothing to do until the next batch came, at most.",
    "Peak memory is the most the process had used of its accelerator (on a CPU: of "
    "main memory) by the end of a cell, whatever used it, so it compares methods only "
    "when each is run on its own.",
    f"{BLANK} stands where there is no value: the method cannot serve new classes, "
    "cells are missing, or the number is not known.",
)


def columns(rows: Sequence[Row]) -> tuple[str, ...]:
    """The titles of the columns that say something, as `row_texts` fills them.

    Where no method was tested on new classes there is one accuracy, and no HM.
    """
    return COLUMNS if has_new(rows) else ("accuracy", *COLUMNS[4:])


def has_new(rows: Iterable[Row]) -> bool:
    """Whether anything was tested on classes that were not trained on."""
    return any(row.new_mean is not None for row in rows)


def terminal_table(rows: Sequence[Row]) -> str:
    """The rows as aligned plain text, no line wider than 100 columns if that can be.

    Args:
      rows: of `summarise`.

    Returns:
      Lines without a last newline: titles, then under the name of each data set a line
      a method, then what is missing. A long name loses its middle, unless another one
      would then look the same.
    """
    shown = [c for c in columns(rows) if c in _TERMINAL_TITLES]
    grid = _aligned([row_texts(row, shown) for row in rows])
    titles = list(zip(*(_TERMINAL_TITLES[c] for c in shown), strict=True))
    widths = [max(map(len, column)) for column in zip(*titles, *grid, strict=True)]
    room = _TERMINAL_WIDTH - sum(widths) - 2 * len(widths)
    whole = ["  " + row.method for row in rows]
    names = [shorten(name, room) for name in whole]
    if len(set(names)) < len(set(whole)):  # settings of a sweep must be told apart
        names = whole
    name_width = max(map(len, names), default=0)

    def line(name: str, texts: Sequence[str]) -> str:
        padded = (text.rjust(width) for text, width in zip(texts, widths, strict=True))
        return "  ".join((name.ljust(name_width), *padded)).rstrip()

    lines = [line("", title) for title in titles]
    dataset = None
    for row, name, texts in zip(rows, names, grid, strict=True):
        if row.dataset != dataset:
            dataset = row.dataset
            lines.append(shorten(dataset, _TERMINAL_WIDTH))
        lines.append(line(name, texts))
    lines += [shorten(f"Missing: {what}", _TERMINAL_WIDTH) for what in missing(rows)]
    return "\n".join(lines)


def _aligned(grid: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The texts without blanks around ±, padded to put a column's means in line."""
    columns = []
    for column in zip(*grid, strict=True):
        parts = [text.replace(" ± ", "±").partition("±") for text in column]
        spread = max(len(sign + std) for _, sign, std in parts)
        columns.append([m + (sign + std).ljust(spread) for m, sign, std in parts])
    return list(zip(*columns, strict=True))


def markdown(rows: Sequence[Row], facts: RunFacts) -> str:
    """The whole report as GitHub-flavoured Markdown."""
    parts = [f"# {_escape(facts.protocol)}"]
    if lost := (*missing(rows), *facts.failures):
        parts.append("**Missing cells**\n\n" + bullets(lost))
    titles = columns(rows)
    body = [(row.dataset, row.method, *row_texts(row, titles)) for row in rows]
    parts.append(markdown_table(("dataset", "method", *titles), body, left=2))
    parts.append(bullets(how_to_read(rows)))
    if facts.tables:
        parts += [
            "## RIL tables",
            markdown_table(TABLE_COLUMNS, table_texts(facts), left=1),
        ]
    if facts.rejection:
        table = markdown_table(REJECTION_COLUMNS, facts.rejection, left=4)
        parts += ["## Rejection", HOW_TO_REJECT, table]
    if facts.notes:
        parts += ["## Notes", bullets(facts.notes)]
    parts += ["## How this was made", _code(facts.command)]
    parts.append(markdown_table(("what", "value"), fact_texts(facts), left=2))
    if facts.config:
        parts += [
            "## Settings",
            markdown_table(("setting", "value"), facts.config, left=2),
        ]
    return "\n\n".join(parts) + "\n"


def row_texts(row: Row, titles: Sequence[str]) -> tuple[str, ...]:
    """What stands under these `columns` in this row; `BLANK` for a missing value."""
    memory = row.peak_memory_bytes
    whole = row.seeds == row.expected
    base = accuracy_text(row.base_mean, row.base_std)
    texts = (
        base,
        accuracy_text(row.new_mean, row.new_std),
        accuracy_text(row.hm, row.hm_std),
        accuracy_text(row.hm_of_means),
        seconds_text(row.train_seconds),
        _share_text(row.wait_seconds, row.train_seconds),
        seconds_text(row.test_seconds),
        BLANK if row.trained_values is None else f"{row.trained_values:,}",
        f"{memory / 2**20:.0f}" if memory else BLANK,
        f"{row.seeds}" if whole else f"{row.seeds} of {row.expected}",
    )
    by_title = {"accuracy": base, **dict(zip(COLUMNS, texts, strict=True))}
    return tuple(by_title[title] for title in titles)


def how_to_read(rows: Sequence[Row]) -> tuple[str, ...]:
    """What a reader of the table has to know."""
    return tuple(s for s in HOW_TO_READ if has_new(rows) or not s.startswith("HM"))


def _share_text(part: float | None, whole: float | None) -> str:
    return BLANK if part is None or not whole else f"{100 * part / whole:.0f}"


def missing(rows: Iterable[Row]) -> list[str]:
    """A sentence for each data set and method that lacks planned cells."""
    return [
        f"{row.dataset}, {row.method}: {row.seeds} of {row.expected} cells finished"
        for row in rows
        if row.seeds < row.expected and row.dataset != AVERAGE
    ]


def shorten(text: str, width: int) -> str:
    """The text, its middle replaced by … if it is longer than `width` characters."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return text[:head] + "…" + text[len(text) - (width - 1 - head) :]


def markdown_table(
    titles: Sequence[str], body: Sequence[Sequence[str]], left: int
) -> str:
    """A Markdown table whose first `left` columns are left-aligned."""
    rule = [":--" if i < left else "--:" for i in range(len(titles))]
    lines = [titles, rule, *([_escape(text) for text in row] for row in body)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bullets(texts: Iterable[str]) -> str:
    """A Markdown list of plain texts."""
    return "\n".join(f"- {_escape(text)}" for text in texts)


def _escape(text: str) -> str:
    """Plain text for Markdown: no markup, no HTML, one line."""
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """An indented block: unlike a fence, nothing inside can end it."""
    return "\n".join("    " + line for line in text.splitlines())

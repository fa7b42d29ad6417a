"""Columns of the report's tables, and their numbers as text."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from fdbpl_jax.reports.results import AVERAGE, Rejection, Row

BLANK = "–"  # stands where there is no value


def accuracy_text(mean: float | None, std: float | None = None) -> str:
    """`77.35 ± 0.52`; without the spread where there is none."""
    if mean is None:
        return BLANK
    return f"{mean:.2f}" if std is None else f"{mean:.2f} ± {std:.2f}"


def seconds_text(seconds: float | None) -> str:
    """Seconds as short as is useful: `0`, `0.42`, `123.4`, `12345`."""
    if not seconds:
        return BLANK if seconds is None else "0"
    return f"{seconds:.{2 if seconds < 10 else 1 if seconds < 1000 else 0}f}"


class Column(NamedTuple):
    """A column of the table of a protocol, beside data set and method."""

    title: str
    terminal_title: str  # in two lines; empty: a terminal has no room for the column
    text: Callable[[Row], str]


def _wait_text(row: Row) -> str:
    if row.wait_seconds is None or not row.train_seconds:
        return BLANK
    return f"{100 * row.wait_seconds / row.train_seconds:.0f}"


def _values_text(row: Row) -> str:
    return BLANK if row.trained_values is None else f"{row.trained_values:,}"


def _memory_text(row: Row) -> str:
    size = row.peak_memory_bytes
    return f"{size / 2**20:.0f}" if size else BLANK


def _seeds_text(row: Row) -> str:
    complete = row.seeds == row.expected
    return f"{row.seeds}" if complete else f"{row.seeds} of {row.expected}"


_ACCURACIES = (
    Column("base", "\nbase", lambda row: accuracy_text(row.base_mean, row.base_std)),
    Column("new", "\nnew", lambda row: accuracy_text(row.new_mean, row.new_std)),
    Column("HM", "\nHM", lambda row: accuracy_text(row.hm, row.hm_std)),
    Column("HM of means", "HM of\nmeans", lambda row: accuracy_text(row.hm_of_means)),
)
_COSTS = (
    Column(
        "training time (s)", "train\ns", lambda row: seconds_text(row.train_seconds)
    ),
    Column("data wait (%)", "", _wait_text),
    Column("test time (s)", "test\ns", lambda row: seconds_text(row.test_seconds)),
    Column("trained values", "", _values_text),
    Column("peak memory (MiB)", "memory\nMiB", _memory_text),
    Column("seeds", "\nseeds", _seeds_text),
)
_HOW_TO_READ = (
    "Accuracies are in percent, mean ± sample standard deviation over seeds.",
    "HM is the mean of harmonic means: of the seeds, and in the average rows of the "
    "data sets, as KDPL and FDBPL report it. HM of means is the harmonic mean of the "
    "mean accuracies, as CoCoOp, MaPLe and PromptSRC report it.",
    "Times are means over seeds. The training time leaves out the RIL table, which is "
    "built once and listed separately.",
    "Data wait is the share of the training time in which the device waited for the "
    "next batch (an upper bound).",
    "Peak memory is the most that the process had used of its accelerator (on a CPU: "
    "of main memory) by the end of a cell, whatever used it. It compares methods only "
    "when each is run separately.",
    f"{BLANK} stands where there is no value: the method cannot serve new classes, "
    "cells are missing, or the number is not known.",
)


def columns(rows: Iterable[Row]) -> tuple[Column, ...]:
    """The columns that these rows need.

    Where no method was tested on new classes there is one accuracy, and no HM.
    """
    if has_new(rows):
        return _ACCURACIES + _COSTS
    return (Column("accuracy", "\naccuracy", _ACCURACIES[0].text), *_COSTS)


def row_table(rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Titles and lines of the table of a protocol: data set, method, `columns`."""
    shown = columns(rows)
    lines = [(row.dataset, row.method, *(c.text(row) for c in shown)) for row in rows]
    return ("dataset", "method", *(column.title for column in shown)), lines


def how_to_read(rows: Iterable[Row]) -> tuple[str, ...]:
    """What a reader of the table has to know."""
    new = has_new(rows)
    return tuple(text for text in _HOW_TO_READ if new or not text.startswith("HM"))


def has_new(rows: Iterable[Row]) -> bool:
    """Whether anything was tested on classes that were not trained on."""
    return any(row.new_mean is not None for row in rows)


def missing(rows: Iterable[Row]) -> list[str]:
    """A sentence for each data set and method that lacks planned cells."""
    return [
        f"{row.dataset}, {row.method}: {row.seeds} of {row.expected} cells finished"
        for row in rows
        if row.seeds < row.expected and row.dataset != AVERAGE
    ]


REJECTION_TITLES = ("dataset", "method", "against", "score", "AUROC", "FPR95")
HOW_TO_REJECT = (
    "How well a score separates whole test images of the classes trained on from "
    "what should be rejected, in percent over seeds: the area under the ROC curve (50 "
    "is chance), and the share that passes where 95 % of the test images do. 'max "
    "probability' and 'entropy' are of the positive prompt, 'negative' is how far the "
    "negative prompt's probabilities are from uniform, 'both' is 'entropy' and "
    "'negative' together. Regions are the tenth of the training images' stored "
    "regions of which the teacher is least sure."
)


def rejection_texts(results: Sequence[Rejection]) -> tuple[tuple[str, ...], ...]:
    """Lines under `REJECTION_TITLES`: mean and spread over seeds."""
    groups: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for result in results:
        key = (result.dataset, result.method, result.against, result.score)
        groups.setdefault(key, []).append((result.auroc, result.fpr))
    return tuple(
        (*key, *map(_over_seeds, zip(*scores, strict=True)))
        for key, scores in groups.items()
    )


def _over_seeds(values: Sequence[float]) -> str:
    std = statistics.stdev(values) if len(values) > 1 else None
    return accuracy_text(statistics.fmean(values), std)

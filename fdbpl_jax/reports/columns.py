"""Columns of tables: which values of a row they show, and as what text."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fdbpl_jax.reports.results import AVERAGE, Rejection, Row, mean_and_std

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


def range_text(
    seconds: float | None, low: float | None = None, high: float | None = None
) -> str:
    """`12.0 (11.8–12.4)`; without the range where there is none."""
    ends = [seconds_text(end) for end in (low, high) if end is not None]
    text = seconds_text(seconds)
    return f"{text} ({'–'.join(ends)})" if len(set(ends)) > 1 else text


class TextTable(NamedTuple):
    """A table as a page shows it."""

    titles: Sequence[str]
    lines: Sequence[tuple[str, ...]]
    words: int  # leading columns that hold words; the others hold numbers


class Column(NamedTuple):
    """A column of a table whose rows map names to values."""

    title: str  # on a page; empty: it is not shown there
    names: tuple[str, ...]  # of the values it shows; blank if the first is None
    text: Callable[..., str] = str  # of these values
    terminal_title: str = ""  # in two lines; empty: a terminal has no room for it
    word: bool = False  # words stand at the left, numbers at the right
    in_file: bool = True  # whether CSV files have its values

    def written(self, row: Mapping[str, Any]) -> str:
        """Its text of a row."""
        values = [row[name] for name in self.names]
        return BLANK if values[0] is None else self.text(*values)


def text_table(
    columns: Iterable[Column], rows: Iterable[Mapping[str, Any]]
) -> TextTable:
    """The texts of the columns that have a title."""
    shown = [column for column in columns if column.title]
    titles = tuple(column.title for column in shown)
    lines = [tuple(column.written(row) for column in shown) for row in rows]
    return TextTable(titles, lines, sum(column.word for column in shown))


# Training time and its range over seeds, fields of a `Row`.
EPOCHS = "epochs_seconds", "epochs_min", "epochs_max"
ACCURACIES: Mapping[str, tuple[str, str]] = {  # mean and spread, fields of a `Row`
    "base": ("base_mean", "base_std"),
    "new": ("new_mean", "new_std"),
    "HM": ("hm", "hm_std"),
}


def _share_text(part: float, whole: float | None) -> str:
    return f"{100 * part / whole:.0f}" if whole else BLANK


def _memory_text(size: int) -> str:
    return f"{size / 2**20:.0f}"


def _seeds_text(finished: int, planned: int) -> str:
    return f"{finished}" if finished == planned else f"{finished} of {planned}"


_ACCURACIES = tuple(
    Column(title, names, accuracy_text, f"\n{title}")
    for title, names in ACCURACIES.items()
)
BEST = Column("best", ("best",), lambda best: "★" if best else "", in_file=False)
SCORES = {"hm": ACCURACIES["HM"], "base": ACCURACIES["base"]}
_MEANS = Column("HM of means", ("hm_of_means",), accuracy_text, "HM of\nmeans")
_COSTS = (
    Column("training time (s)", EPOCHS, range_text, "train\ns"),
    Column("compiling (s)", ("compile_seconds",), seconds_text, "compile\ns"),
    Column("data wait (%)", ("wait_seconds", "train_seconds"), _share_text),
    Column("trained values", ("trained_values",), "{:,}".format),
)
_MEMORY = Column("memory (MiB)", ("memory_bytes",), _memory_text, "memory\nMiB")
_SEEDS = Column("seeds", ("seeds", "expected"), _seeds_text, "\nseeds")
_HOW_TO_READ = (
    "Accuracies are in percent, mean ± sample standard deviation over seeds.",
    "HM is the mean of harmonic means: of the seeds, and in the average rows of the "
    "data sets, as KDPL and FDBPL report it. HM of means is the harmonic mean of the "
    "mean accuracies, as CoCoOp, MaPLe and PromptSRC report it.",
    "★ is the best method that was trained on a data set, where it is above every "
    "other by more than the standard error of the difference, over seeds.",
    "Training time is the median epoch times the number of epochs: the median of the "
    "seeds, with the fastest and the slowest. It leaves out the RIL table, which is "
    "built once and listed separately, and compiling.",
    "Compiling is what the first epoch took above the median one, where that was most: "
    "later cells use what is compiled.",
    "Data wait is the share of the whole training loop in which the device waited for "
    "the next batch (an upper bound).",
    "Memory is the most that training used beyond what was in use before, of the "
    "accelerator (on a CPU: of main memory, with what the compiler takes).",
    f"{BLANK} stands where there is no value: the method cannot serve new classes, "
    "cells are missing, or the number is not known, as times of a single epoch.",
)


def columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    """The columns of accuracies and costs that these rows need."""
    means = [_MEANS] if has_new(rows) else []
    memory = [_MEMORY] if has_memory(rows) else []
    return (*accuracy_columns(has_new(rows)), *means, *_COSTS, *memory, _SEEDS)


def accuracy_columns(new: bool) -> tuple[Column, ...]:
    """Base, new and HM; without new classes a page shows one accuracy, and no HM."""
    if new:
        return _ACCURACIES
    first, *others = _ACCURACIES
    accuracy = first._replace(title="accuracy", terminal_title="\naccuracy")
    return accuracy, *(column._replace(title="") for column in others)


def row_table(rows: Sequence[Row]) -> TextTable:
    """The table of a protocol: data set, method, `columns`, the best if it is clear."""
    words = [Column(name, (name,), word=True) for name in ("dataset", "method")]
    lines = [dict(vars(row)) for row in rows]
    best = [BEST] if mark_best(lines) else []
    return text_table([*words, *columns(rows), *best], lines)


def mark_best(lines: Sequence[dict[str, Any]]) -> bool:
    """Set `best` of the fields of rows, on each data set of at most one method's.

    It is the method that was trained whose HM (without new classes: accuracy) is above
    every other's by more than the standard error of the difference, over seeds.
    Returns whether there is any.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        line["best"] = False
        if line["trained_values"] and line["base_mean"] is not None:
            groups.setdefault(line["dataset"], []).append(line)
    for group in groups.values():
        name = "hm" if all(line["hm"] is not None for line in group) else "base"
        scores = sorted((_score(line, name) for line in group), key=lambda s: -s.mean)
        first, *others = scores
        first.line["best"] = bool(others) and all(map(first.is_above, others))
    return any(line["best"] for line in lines)


class _Score(NamedTuple):
    line: dict[str, Any]
    mean: float
    error: float | None  # standard, over seeds; None: of a single seed, or an average

    def is_above(self, other: "_Score") -> bool:
        if self.error is None or other.error is None:
            return False
        return self.mean - other.mean > math.hypot(self.error, other.error)


def _score(line: dict[str, Any], name: str) -> _Score:
    mean, spread = (line[field] for field in SCORES[name])
    error = None if spread is None else spread / math.sqrt(line["seeds"])
    return _Score(line, mean, error)


def how_to_read(rows: Sequence[Row]) -> tuple[str, ...]:
    """What a reader of the table has to know."""
    best = mark_best([dict(vars(row)) for row in rows])
    shown = {"HM": has_new(rows), "Memory": has_memory(rows), "★": best}
    return tuple(t for t in _HOW_TO_READ if shown.get(t.split()[0], True))


def has_new(rows: Iterable[Row]) -> bool:
    """Whether anything was tested on classes that were not trained on."""
    return any(row.new_mean is not None for row in rows)


def has_memory(rows: Iterable[Row]) -> bool:
    """Whether each method that was trained had a process, and memory, of its own."""
    trained = [row for row in rows if row.trained_values and row.dataset != AVERAGE]
    return bool(trained) and all(row.memory_bytes is not None for row in trained)


def missing(rows: Iterable[Row]) -> list[str]:
    """A sentence for each data set and method that lacks planned cells."""
    return [
        f"{row.dataset}, {row.method}: {row.seeds} of {row.expected} cells finished"
        for row in rows
        if row.seeds < row.expected and row.dataset != AVERAGE
    ]


def rejection_texts(results: Sequence[Rejection]) -> tuple[tuple[str, ...], ...]:
    """The lines of `RunFacts.rejection`: mean and spread over seeds."""
    groups: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for result in results:
        key = (result.dataset, result.method, result.against, result.score)
        groups.setdefault(key, []).append((result.auroc, result.fpr))
    return tuple(
        (*key, *(accuracy_text(*mean_and_std(v)) for v in zip(*scores, strict=True)))
        for key, scores in groups.items()
    )

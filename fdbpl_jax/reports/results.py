"""From cells (dataset × method × seed) to the rows of the one table of a protocol.

Two ways of averaging the harmonic mean are in use and their numbers differ, so a row
has both: `hm` is the mean of HMs (KDPL and FDBPL average the HMs of the data sets),
`hm_of_means` the HM of the mean accuracies (CoCoOp, MaPLe, PromptSRC, PromptKD).
"""

import dataclasses
import itertools
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, median, stdev
from typing import Any

import msgspec

from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.accuracy import harmonic_mean
from fdbpl_jax.files.sealed import SEAL, seal, unseal

AVERAGE = "average"  # the dataset of the rows that average over data sets

EARLIER = "test_seconds", "peak_memory_bytes"  # fields of earlier versions' cells

CellKey = tuple[str, str, int | None]  # dataset, method, seed


class CellResult(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The result of one cell; a line of its `results.jsonl`.

    Accuracies are in percent, times in seconds. A `UserError` is raised for an accuracy
    outside 0 … 100, a time or count below 0, and a number that is not finite.
    """

    dataset: str
    method: str
    seed: int | None  # None: nothing is drawn or trained (zero-shot)
    base: float  # of the classes trained on; of all where there are no new ones
    new: float | None  # None: there are none, or the method cannot serve them
    train_seconds: float  # of the whole loop: also compiling and writing
    wait_seconds: float  # of them the device waited for data, at most
    steps: int
    trained_values: int  # how many numbers were learned
    # Test images that zero-shot puts into another class; None: of version 0.1.0.
    changed: int | None = None
    # Not known: of earlier versions and of a single epoch, which holds both.
    epochs_seconds: float | None = None  # the median epoch times their number
    compile_seconds: float | None = None  # the first epoch, less the median one
    table_seconds: float | None = None  # of building the RIL table that it reads
    # Most that training used beyond what was in use before; None: not its alone.
    memory_bytes: int | None = None
    load: float | None = None  # of the machine when training began, mean of a minute
    test_seconds: float | None = None  # `EARLIER`, as the next
    peak_memory_bytes: int | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__[3:]:
            value = getattr(self, name)
            limit = 100 if name in ("base", "new") else math.inf
            if value is None or (math.isfinite(value) and 0 <= value <= limit):
                continue
            raise UserError(
                f"cell {self.dataset}, {self.method}, seed {self.seed}: "
                f"{name} is {value}",
                "Accuracies lie in 0 to 100, times and counts are finite, from 0 up.",
            )

    @property
    def key(self) -> CellKey:
        """What tells this cell from the others of its protocol."""
        return self.dataset, self.method, self.seed

    def replaced(self, changes: Mapping[str, Any]) -> "CellResult":
        """The cell with other values of some fields."""
        return msgspec.structs.replace(self, **changes)

    def to_json(self, facts: Mapping[str, Any] | None = None) -> str:
        """The cell as a line of JSON; `from_json` gives it back exactly.

        With `facts`, JSON values, the line has them too, and a digest.
        """
        values = msgspec.to_builtins(self)
        if facts is not None:
            values = seal(values | {"facts": facts})
        return json.dumps(values, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "results.jsonl") -> "CellResult":
        """The cell that `to_json` wrote into `source`.

        Raises:
          UserError: not JSON, a digest that is another one's, a field missing, unknown
            or of the wrong type, or a value that no cell can have.
        """
        return cls.parse(text, source)[0]

    @classmethod
    def parse(cls, text: str, source: str) -> tuple["CellResult", dict[str, Any]]:
        """The cell of a line as `from_json`, and its facts; {} without a digest."""
        facts: dict[str, Any] = {}
        try:
            if f'"{SEAL}"' in text:
                values = unseal(text)
                facts = values.pop("facts")
                text = json.dumps(values)
            return msgspec.json.decode(text, type=cls), facts
        except (msgspec.MsgspecError, ValueError, KeyError, UserError) as error:
            raise UserError(
                f"{source} is not a whole cell result: {error}",
                "Delete it and run the same command again: the cell is run anew.",
            ) from error


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: a method on a data set, or averaged over data sets.

    Accuracies are in percent. A value is None where no cell finished, the method cannot
    serve new classes, or a spread is that of a single seed.
    """

    dataset: str
    method: str
    seeds: int  # finished; in an average row, of the data set that has fewest
    expected: int  # planned
    base_mean: float | None
    base_std: float | None  # sample standard deviation over seeds (n - 1)
    new_mean: float | None
    new_std: float | None
    hm: float | None  # mean of the HMs of the seeds; or of the data sets' `hm`
    hm_std: float | None
    hm_of_means: float | None  # HM of base_mean and new_mean
    train_seconds: float | None  # mean, of the whole loop
    wait_seconds: float | None  # mean
    trained_values: int | None  # largest
    # Of cells' `epochs_seconds`: in an average row the mean of the data sets' medians.
    epochs_seconds: float | None = None  # median
    epochs_min: float | None = None
    epochs_max: float | None = None
    compile_seconds: float | None = None  # largest: later cells reuse what is compiled
    table_seconds: float | None = None  # of building the RIL table
    memory_bytes: int | None = None  # largest


@dataclasses.dataclass(frozen=True)
class Rejection:
    """How well a cell's score tells test images from what should be rejected."""

    dataset: str
    method: str
    seed: int
    against: str  # what should be rejected
    score: str
    auroc: float  # percent; 50 is chance
    fpr: float  # percent of what should be rejected that passes with 95 % of the rest


def summarise(
    cells: Sequence[CellResult], planned: Sequence[CellKey], averaged: Sequence[str]
) -> list[Row]:
    """The rows of the table: data set by data set, then the averages.

    Args:
      cells: those that finished.
      planned: every cell the protocol meant to run, so that lost ones show.
      averaged: the data sets that averages are over.

    Returns:
      A row per data set and method, in the order first met; if several are averaged,
      then a row per method whose dataset is `AVERAGE`: the mean of their rows, without
      std. It is empty unless every data set has a row of that method with a finished
      cell, as a mean over fewer data sets is another number.

    Raises:
      ValueError: a cell comes twice or was not planned.
    """
    finished = {cell.key: cell for cell in cells}
    counted = Counter(cell.key for cell in cells)
    if strange := [k for k, n in counted.items() if n > 1 or k not in planned]:
        raise ValueError(f"cells that come twice or were not planned: {strange}")
    datasets = list(dict.fromkeys(dataset for dataset, _, _ in planned))
    methods = list(dict.fromkeys(method for _, method, _ in planned))
    rows = []
    for pair in itertools.product(datasets, methods):
        keys = [key for key in planned if key[:2] == pair]
        if keys:
            done = [finished[key] for key in keys if key in finished]
            rows.append(_data_set_row(pair, done, len(keys)))
    if len(averaged) > 1:
        rows += [_average_row(m, averaged, rows) for m in methods]
    return rows


def _data_set_row(key: tuple[str, str], cells: list[CellResult], expected: int) -> Row:
    accuracies = [(c.base, c.new, _harmonic_mean(c.base, c.new)) for c in cells]
    return _row(key, (len(cells), expected), accuracies, cells)


def _average_row(method: str, datasets: Sequence[str], all_rows: list[Row]) -> Row:
    rows = [r for r in all_rows if r.method == method and r.dataset in datasets]
    # Empty, not shorter, where a data set is missing: see `summarise`.
    complete = len(rows) == len(datasets) and all(row.seeds for row in rows)
    counted = rows if complete else []
    accuracies = [(row.base_mean, row.new_mean, row.hm) for row in counted]
    counts = min(row.seeds for row in rows), max(row.expected for row in rows)
    row = _row((AVERAGE, method), counts, accuracies, counted)
    return dataclasses.replace(row, base_std=None, new_std=None, hm_std=None)


def _row(
    key: tuple[str, str],
    counts: tuple[int, int],
    accuracies: Sequence[tuple[float | None, ...]],  # base, new, HM of each item
    items: Sequence[CellResult] | Sequence[Row],
) -> Row:
    columns = zip(*accuracies, strict=True) if accuracies else ((), (), ())
    base, new, hm = (mean_and_std(values) for values in columns)

    def values(name: str) -> list[Any]:
        return [getattr(item, name) for item in items]

    return Row(
        *(*key, *counts, *base, *new, *hm),
        hm_of_means=_harmonic_mean(base[0], new[0]),
        train_seconds=mean_and_std(values("train_seconds"))[0],
        wait_seconds=mean_and_std(values("wait_seconds"))[0],
        trained_values=max(values("trained_values"), default=None),
        table_seconds=mean_and_std(values("table_seconds"))[0],
        **_costs(items),
    )


def _costs(items: Sequence[CellResult] | Sequence[Row]) -> dict[str, Any]:
    """What training took: of cells in the middle and at most, of rows on average."""

    def known(name: str) -> list[Any]:
        values = [getattr(item, name) for item in items]
        return [] if None in values else values

    times, compiling = known("epochs_seconds"), known("compile_seconds")
    costs = {"compile_seconds": max(compiling, default=None)}
    if items and isinstance(items[0], Row):
        return costs | {"epochs_seconds": fmean(times) if times else None}
    return costs | {
        "epochs_seconds": median(times) if times else None,
        "epochs_min": min(times, default=None),
        "epochs_max": max(times, default=None),
        "memory_bytes": max(known("memory_bytes"), default=None),
    }


def _harmonic_mean(base: float | None, new: float | None) -> float | None:
    return None if base is None or new is None else harmonic_mean(base, new)


def mean_and_std(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Mean and spread, unless a value is missing; the spread of more than one."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None, None
    return fmean(known), stdev(known) if len(known) > 1 else None

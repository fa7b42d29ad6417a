"""The paper's tables as sheets, with the published numbers beside ours.

A run of `configs/paper/<table>.py` leaves a report in `<workdir>/paper/<table>`, or in
a folder of it for each value of what the table varies between runs.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from fdbpl_jax.data.catalogue import CATALOGUE
from fdbpl_jax.paper.finished import FinishedRun, by_dataset, finished_runs, lost
from fdbpl_jax.paper.published import Published, select
from fdbpl_jax.paper.sheet import (
    ACCURACIES,
    DATASET,
    TRAINING,
    PublishedTable,
    Sheet,
    SheetColumn,
    column,
    report_column,
)
from fdbpl_jax.reports.columns import BLANK, has_new
from fdbpl_jax.reports.facts import RunFacts
from fdbpl_jax.reports.results import AVERAGE, Row

TITLES: Mapping[str, str] = {
    "table1": "Table 1: to other data sets",
    "table2": "Table 2: from base to new classes",
    "table3": "Table 3: images per class",
    "table4": "Table 4: sparse labels",
    "table5": "Table 5: the teacher's size",
    "table6": "Table 6: to other images of the same classes",
}
# Of `Number.what`, as titles have it.
_WHAT = {"base": "base", "new": "new", "hm": "HM", "accuracy": "accuracy"}
_TERMS = {  # lambda_diff1 and lambda_diff2 on or off
    (False, False): "none",
    (True, False): "first",
    (False, True): "second",
    (True, True): "both",
}

_TEACHERS = {  # what table 5 calls models whose hub ids end so
    "clip-vit-base-patch32": "ViT-B/32",
    "clip-vit-base-patch16": "ViT-B/16",
    "clip-vit-large-patch14": "ViT-L/14",
}


class Line(NamedTuple):
    """A row of ours with the published accuracies."""

    row: Row
    method: str  # without what is varied
    varied: str  # what the table varies, in words; empty where nothing is
    published: Mapping[str, float]  # by `Number.what`, as far as there are any


def table_sheets(workdir: Path, published: Published) -> list[Sheet]:
    """Make the sheets of the tables that were run, in the paper's order."""
    sheets = []
    for name, title in TITLES.items():
        folder = workdir / "paper" / name
        runs = finished_runs([folder]) or finished_runs(sorted(folder.glob("*/")))
        lines = lines_of(name, runs, published)
        sheet = Sheet(
            name=name,
            title=title,
            about="",
            columns=_columns(lines),
            rows=lines,
            facts=tuple(run.facts for run in runs),
            lost=lost(runs),
            published=published_table(name, published),
        )
        sheets += [sheet] if runs else []
    return sheets


def _columns(lines: Sequence[Line]) -> list[SheetColumn]:
    """Show what there is on the page; the CSV file has the same columns for all."""
    base, new, hm = ACCURACIES
    if not has_new(line.row for line in lines):  # there is one accuracy
        base = base._replace(title="accuracy")
        new, hm = new._replace(title=""), hm._replace(title="")
    varied = "varied" if any(line.varied for line in lines) else ""
    return [
        DATASET,
        column("method", "method", lambda line: line.method, word=True),
        column(varied, "varied", lambda line: line.varied, word=True),
        *(base, new, hm),
        report_column("", "seeds", text=str),
        TRAINING,
        *(_published_column(what, lines) for what in _WHAT),
    ]


def _published_column(what: str, lines: Sequence[Line]) -> SheetColumn:
    exists = any(what in line.published for line in lines)
    return column(
        f"published {_WHAT[what]}" if exists else "",
        f"published_{what}",
        lambda line: line.published.get(what),
        "{:.2f}".format,
    )


def published_table(name: str, published: Published) -> PublishedTable:
    """Arrange the numbers of a table as the paper does."""
    numbers = select(published, table=name)
    columns = [what for what in _WHAT if any(n.what == what for n in numbers)]
    rows: dict[tuple[str, ...], dict[str, float]] = {}
    for number in numbers:
        settings = (number.shots, number.label, number.teacher, number.terms)
        varied = " ".join(str(value) for value in settings if value is not None)
        key = (number.dataset, number.printed or number.method, varied)
        rows.setdefault(key, {})[number.what] = number.value
    # What is varied has a column if anything is.
    words = 3 if any(varied for _, _, varied in rows) else 2
    lines = [
        (*key[:words], *(f"{row[c]:.2f}" if c in row else BLANK for c in columns))
        for key, row in rows.items()
    ]
    titles = ["data set", "method", "varied"][:words]
    return PublishedTable([*titles, *(_WHAT[what] for what in columns)], lines, words)


def lines_of(
    name: str, runs: Iterable[FinishedRun], published: Published
) -> list[Line]:
    """Find the published numbers of all rows of a table."""
    lines = []
    for run in runs:
        part = "" if run.folder.name == name else run.folder.name
        numbers = _comparable(name, run.facts, published)
        for row in run.rows:
            line = line_of(name, row, part, numbers)
            table = run.facts.tables.get(row.dataset)
            # The K of sparse labels, which of few classes may be all of them.
            if line.varied in ("ms", "mr") and table is not None:
                line = line._replace(varied=f"{line.varied}, K = {table.keep}")
            lines.append(line)
    return _in_order(lines)


def line_of(name: str, row: Row, part: str, published: Published) -> Line:
    """Find the published accuracies of a row.

    What a sweep varies stands after the method's name; `part` is what is varied
    between runs (empty: nothing).
    """
    method, setting = row.method, ""
    if "=" in row.method:
        method, _, setting = row.method.partition(" ")
    key = {"method": method, **_varied_key(name, setting, part)}
    # The zero-shot student is the same in every run of a table.
    shared = not row.trained_values and method != "teacher"
    varied = "" if shared or (name == "table4" and not row.trained_values) else part
    if "terms" in key:
        varied = f"difference losses: {key['terms']}"
    numbers = select(published, table=name, dataset=row.dataset, **key)
    accuracies: dict[str, float] = {number.what: number.value for number in numbers}
    return Line(row, method, varied or setting, accuracies)


def _comparable(name: str, facts: RunFacts, published: Published) -> Published:
    """Leave out the numbers of data sets of which ours are only a part.

    An average stands beside ours if all data sets are complete and the paper's.
    """
    complete = set()
    for dataset, size in facts.sizes.items():
        counts = CATALOGUE[dataset].published if dataset in CATALOGUE else None
        if counts and size == (counts.classes, counts.test):
            complete.add(dataset)
    datasets = {n.dataset for n in published.numbers if n.table == name} - {AVERAGE}
    if datasets == complete == set(facts.sizes):
        complete.add(AVERAGE)
    numbers = tuple(n for n in published.numbers if n.dataset in complete)
    return msgspec.structs.replace(published, numbers=numbers)


def _varied_key(name: str, setting: str, part: str) -> dict[str, str | int]:
    values = dict(re.findall(r"(\w+)=(\S+)", setting))
    if name == "table3" and "shots" in values:
        return {"shots": int(values["shots"])}
    if name == "table4":
        return {"label": part}
    if name == "table5":
        return {"teacher": _TEACHERS.get(part, part)}
    if name == "table6" and values:
        first, second = (float(values[f"lambda_diff{n}"]) > 0 for n in (1, 2))
        return {"terms": _TERMS[first, second]}
    return {}


def _in_order(lines: Iterable[Line]) -> list[Line]:
    """Sort by data set, without untrained rows that several runs have alike."""
    keys, unique = set(), []
    for line in lines:
        key = (line.row.dataset, line.row.method, line.varied)
        if line.row.trained_values or key not in keys:
            unique.append(line)
        keys.add(key)
    return list(itertools.chain(*by_dataset(unique).values()))

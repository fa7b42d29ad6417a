"""The paper's tables as sheets, with the published numbers beside ours.

A run of `configs/paper/<table>.py` leaves a report in `<workdir>/paper/<table>`, or in
a folder of it for each value of what the table varies between runs.
"""

import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fdbpl_jax.data.catalogue import CATALOGUE
from fdbpl_jax.paper.published import Number, Published, numbers_of
from fdbpl_jax.paper.sheet import (
    COMPILING,
    DATASET,
    METHOD,
    TRAINING,
    FinishedRun,
    Line,
    Sheet,
    by_dataset,
    finished_runs,
)
from fdbpl_jax.reports.columns import (
    BEST,
    Column,
    TextTable,
    accuracy_columns,
    mark_best,
    text_table,
)
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
_VARIED = Column("varied", ("varied",), word=True)
_NUMBERS = [  # names by `Number.what`
    Column(f"published {title}", (f"published_{title.lower()}",), "{:.2f}".format)
    for title in ("base", "new", "HM", "accuracy")
]
_NO_NUMBERS = dict.fromkeys(name for column in _NUMBERS for name in column.names)


def table_sheet(name: str, workdir: Path, published: Published) -> Sheet:
    """Make the sheet of a table, of the runs that are finished."""
    runs = finished_runs(workdir, name) or finished_runs(workdir, f"{name}/*")
    lines = _in_order(line for run in runs for line in _lines(name, run, published))
    best = mark_best(lines)
    new = any(line["new_mean"] is not None for line in lines)
    columns = [
        *(DATASET, METHOD, *_filled([_VARIED], lines), *accuracy_columns(new)),
        *([BEST] if best else ()),
        *(Column("", ("seeds",)), TRAINING, COMPILING, *_filled(_NUMBERS, lines)),
    ]
    table = published_table(name, published)
    about = _about(name, runs)
    return Sheet(name, TITLES[name], about, columns, lines, runs, published=table)


def _about(name: str, runs: Sequence[FinishedRun]) -> str:
    """Name what was trained on, and a teacher that is the student."""
    texts = []
    for run in runs:
        if name in ("table1", "table6"):
            text = f"Trained on {run.dataset} alone; the average leaves it out."
            texts.append(text)
        student, teacher = (
            f.split()[-1:] for f in (run.facts.student, run.facts.teacher)
        )
        if name == "table5" and student == teacher:
            texts.append(f"Teacher '{run.folder.name}' is the student itself.")
    return " ".join(dict.fromkeys(texts))


def published_table(name: str, published: Published) -> TextTable:
    """Arrange the numbers of a table by data set, each in the paper's order."""
    lines: dict[tuple[str, ...], dict[str, object]] = {}
    for number in numbers_of(name, published):
        method = number.printed or number.method
        words = {"dataset": number.dataset, "method": method, "varied": number.varied}
        line = lines.setdefault(tuple(words.values()), words | _NO_NUMBERS)
        line[f"published_{number.what}"] = number.value
    columns = [
        column._replace(title=column.title.removeprefix("published "))
        for column in _filled([_VARIED, *_NUMBERS], lines.values())
    ]
    groups = by_dataset(lines.values()).values()
    return text_table([DATASET, METHOD, *columns], itertools.chain(*groups))


def _filled(columns: Iterable[Column], lines: Collection[Line]) -> list[Column]:
    """The columns, on the page only those that a line has something in."""
    return [
        column
        if any(line[column.names[0]] for line in lines)
        else column._replace(title="")
        for column in columns
    ]


def _lines(name: str, run: FinishedRun, published: Published) -> Sequence[Line]:
    """Return the rows of a run of a table as lines of its sheet."""
    part = "" if run.folder.name == name else run.folder.name
    numbers = _comparable(name, run.facts, published)
    lines = [line_of(name, row, part, numbers) for row in run.rows]
    for line in lines:
        table = run.facts.tables.get(line["dataset"])
        # The K of sparse labels, which of few classes may be all of them.
        if line["varied"] in ("ms", "mr") and table is not None:
            line["varied"] += f", K = {table.keep}"
    return lines


def line_of(
    name: str, row: Row, part: str, numbers: Sequence[Number]
) -> dict[str, Any]:
    """Find the published accuracies of a row among those of its table.

    What a sweep varies stands after the method's name; `part` is what is varied
    between runs (empty: nothing).
    """
    method, setting = row.method, ""
    if "=" in row.method:
        method, _, setting = row.method.partition(" ")
    published = _published_setting(name, setting, part)
    varied = setting or part
    if name == "table6" and setting:
        varied = f"difference losses: {published}"
    elif not row.trained_values and (method != "teacher" or name == "table4"):
        varied = ""  # the same in every run of a table
    key = row.dataset, method, published
    return {
        **(vars(row) | {"method": method, "varied": varied} | _NO_NUMBERS),
        **{
            f"published_{number.what}": number.value
            for number in numbers
            if (number.dataset, number.method, number.varied) == key
        },
    }


def _published_setting(name: str, setting: str, part: str) -> str:
    """Return what is varied as `Number.varied` has it."""
    values = dict(re.findall(r"(\w+)=(\S+)", setting))
    if name == "table3":
        return values.get("shots", "")
    if name == "table5":
        return _TEACHERS.get(part, part)
    if name == "table6" and values:
        first, second = (float(values[f"lambda_diff{n}"]) > 0 for n in (1, 2))
        return _TERMS[first, second]
    return part


def _comparable(name: str, facts: RunFacts, published: Published) -> list[Number]:
    """Leave out the numbers of data sets of which ours are only a part.

    An average stands beside ours if all data sets are complete and the paper's.
    """
    numbers, complete = numbers_of(name, published), set()
    for dataset, size in facts.sizes.items():
        counts = CATALOGUE[dataset].published if dataset in CATALOGUE else None
        if counts and size == (counts.classes, counts.test):
            complete.add(dataset)
    datasets = {number.dataset for number in numbers} - {AVERAGE}
    if datasets == complete == set(facts.sizes):
        complete.add(AVERAGE)
    return [number for number in numbers if number.dataset in complete]


def _in_order(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """Sort by data set, without untrained rows that several runs have alike."""
    keys, unique = set(), []
    for line in lines:
        key = (line["dataset"], line["method"], line["varied"])
        if line["trained_values"] or key not in keys:
            unique.append(line)
        keys.add(key)
    return [dict(line) for group in by_dataset(unique).values() for line in group]

"""What each of the paper's tables varies, and which printed number is which of ours.

A run of `configs/paper/<table>.py` leaves a report in `<workdir>/paper/<table>`, or in
a folder of it for each value of what the table varies between runs.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax.data.catalogue import CATALOGUE, Counts
from fdbpl_jax.paper.published import Published, select
from fdbpl_jax.reports.facts import RunFacts
from fdbpl_jax.reports.results import AVERAGE, Row
from fdbpl_jax.reports.write import read_report

TITLES: Mapping[str, str] = {
    "table1": "Table 1: to other data sets",
    "table2": "Table 2: from base to new classes",
    "table3": "Table 3: images a class",
    "table4": "Table 4: sparse labels",
    "table5": "Table 5: the teacher's size",
    "table6": "Table 6: to other images of the same classes",
}
WHAT = ("base", "new", "hm", "accuracy")  # of `published.Number`

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
    """A row of ours with what the paper prints for it.

    row: ours. method: without what is varied. varied: what the table varies, in words;
    empty where nothing is. published: the printed accuracies, by `WHAT`, as far as
    there are any.
    """

    row: Row
    method: str
    varied: str
    published: Mapping[str, float]


class PaperTable(NamedTuple):
    """One of the paper's tables: ours as far as it was run, and how it was."""

    name: str
    lines: tuple[Line, ...]
    facts: tuple[RunFacts, ...]  # of each run


def collect(workdir: Path, published: Published) -> list[PaperTable]:
    """The tables that were run, in the paper's order.

    Args:
      workdir: of the runs.
      published: the printed numbers.

    Raises:
      UserError: a report is not whole.
    """
    found = []
    for name in TITLES:
        folder = workdir / "paper" / name
        files = sorted(folder.glob("report.json")) or sorted(
            folder.glob("*/report.json")
        )
        lines, facts = [], []
        for file in files:
            rows, own = read_report(file.parent)
            known = _comparable(name, own, published)
            part = "" if file.parent == folder else file.parent.name
            own_lines = [line_of(name, row, part, known) for row in rows]
            lines += [_with_keep(line, own) for line in own_lines]
            facts.append(own)
        if facts:
            found.append(PaperTable(name, _once(lines), tuple(facts)))
    return found


def line_of(name: str, row: Row, part: str, published: Published) -> Line:
    """A row with its counterpart in the paper.

    Args:
      name: of the table.
      row: ours; what a sweep varies stands after the method's name.
      part: what is varied between runs; empty: nothing.
      published: the printed numbers.
    """
    method, setting = _parts(row.method)
    key = {"method": method, **_varied_key(name, setting, part)}
    # The zero-shot student is the same in every run of a table.
    shared = not row.trained_values and method != "teacher"
    varied = "" if shared or (name == "table4" and not row.trained_values) else part
    if "terms" in key:
        varied = f"difference losses: {key['terms']}"
    numbers = select(published, table=name, dataset=row.dataset, **key)
    accuracies = {number.what: number.value for number in numbers}
    return Line(row, method, varied or setting, accuracies)


def _with_keep(line: Line, facts: RunFacts) -> Line:
    """With the K of sparse labels, which of few classes may be all of them."""
    table = facts.tables.get(line.row.dataset)
    if line.varied not in ("ms", "mr") or table is None:
        return line
    return line._replace(varied=f"{line.varied}, K = {table.keep}")


def _comparable(name: str, facts: RunFacts, published: Published) -> Published:
    """Without the numbers of data sets that ours are only a part of.

    An average stands beside ours if all data sets are whole and the paper's.
    """
    whole = {
        dataset
        for dataset, size in facts.sizes.items()
        if dataset in CATALOGUE and size == _size(CATALOGUE[dataset].published)
    }
    printed = {n.dataset for n in published.numbers if n.table == name} - {AVERAGE}
    known = whole | {AVERAGE} if printed == whole == set(facts.sizes) else whole
    kept = tuple(n for n in published.numbers if n.dataset in known)
    return dataclasses.replace(published, numbers=kept)


def _size(counts: Counts) -> tuple[int, int]:
    return counts.classes, counts.test


def _parts(method: str) -> tuple[str, str]:
    """The method's name, and what a sweep varies."""
    words = method.split(" ")
    if "=" not in method:
        return method, ""
    return words[0], " ".join(words[1:])


def _varied_key(name: str, setting: str, part: str) -> dict[str, object]:
    values = dict(re.findall(r"(\w+)=(\S+)", setting))
    if name == "table3" and "shots" in values:
        return {"shots": int(values["shots"])}
    if name == "table4":
        return {"label": part}
    if name == "table5":
        return {"teacher": _TEACHERS.get(part, part)}
    if name == "table6" and values:
        on = (float(values[f"lambda_diff{n}"]) > 0 for n in (1, 2))
        return {"terms": _TERMS[tuple(on)]}
    return {}


def _once(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Without the untrained rows that several runs of a table have alike."""
    seen, kept = set(), []
    for line in lines:
        key = (line.row.dataset, line.row.method, line.varied)
        if line.row.trained_values or key not in seen:
            kept.append(line)
        seen.add(key)
    # Stable: methods stay in their order within a data set.
    order = list(dict.fromkeys(line.row.dataset for line in kept))
    return tuple(sorted(kept, key=lambda line: order.index(line.row.dataset)))

"""The numbers that the paper prints, for tables and reports to stand beside ours.

They are data, in published.json, with the place where each is printed. What the paper
leaves open, such as which learner a row "KDPL" has, is said in its notes.
"""

import dataclasses
import importlib.resources
import json
from collections.abc import Mapping

_FILE = "published.json"


@dataclasses.dataclass(frozen=True, slots=True)
class Number:
    """One printed accuracy; a field that its table does not vary is None."""

    table: str  # "table1" .. "table6"
    dataset: str  # our name of it, or "average"
    method: str  # our name of it; also "zero-shot" and "teacher"
    what: str  # "base", "new", "hm" or "accuracy"
    value: float  # per cent
    source: str  # where it is printed
    printed: str  # the row's name as printed; empty where the row has none
    shots: int | None = None  # table 3
    label: str | None = None  # table 4: "hard", "full", "ms" or "mr"
    teacher: str | None = None  # table 5
    terms: str | None = None  # table 6: of L_diff, "none", "first", "second" or "both"


@dataclasses.dataclass(frozen=True, slots=True)
class Note:
    """What to know before two numbers are compared, and the rows it is about."""

    topic: str
    text: str
    rows: tuple[tuple[str, str, str, str], ...]  # table, data set, method, what


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """What the paper's text says of a figure whose values it does not print."""

    figure: str  # "figure8"
    what: str
    value: str
    source: str


@dataclasses.dataclass(frozen=True)
class Published:
    """All that published.json holds."""

    paper: Mapping[str, str]
    models: Mapping[str, str]  # "student" and "teacher" as stated; "teacher_rows"
    claims: tuple[Claim, ...]
    notes: tuple[Note, ...]
    numbers: tuple[Number, ...]


def load() -> Published:
    """Reads the published numbers, which are shipped with the package.

    Returns:
      The paper, its models, claims, notes and numbers, in the order of the tables.
    """
    file = importlib.resources.files(__package__) / _FILE
    content = json.loads(file.read_text(encoding="utf-8"))
    notes = (
        Note(note["topic"], note["text"], tuple(tuple(row) for row in note["rows"]))
        for note in content["notes"]
    )
    numbers = (Number(**record) for record in content["numbers"])
    claims = (Claim(**record) for record in content["claims"])
    return Published(
        content["paper"],
        content["models"],
        tuple(claims),
        tuple(notes),
        tuple(numbers),
    )


def select(published: Published, **fields: str | int | None) -> tuple[Number, ...]:
    """The numbers whose fields have these values, in the order of the tables.

    Args:
      published: what `load` returns.
      **fields: of `Number`, such as table="table2", method="coop", what="new".

    Returns:
      Those numbers; none if the paper does not print it.

    Raises:
      AttributeError: `Number` has no such field.
    """
    return tuple(
        number
        for number in published.numbers
        if all(getattr(number, name) == value for name, value in fields.items())
    )


def base_to_new(published: Published, dataset: str, method: str) -> Mapping[str, float]:
    """One row of table 2.

    Args:
      published: what `load` returns.
      dataset: our name of the data set, or "average".
      method: our name of the method, or "zero-shot" or "teacher".

    Returns:
      Per cent by "base", "new" and "hm", without those that the paper does not print.
    """
    row = select(published, table="table2", dataset=dataset, method=method)
    return {number.what: number.value for number in row}

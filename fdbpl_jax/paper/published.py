"""The numbers that the paper publishes, from published.json, for sheets to show.

What the paper leaves open, such as which learner a row "KDPL" has, is in the notes.
"""

import importlib.resources
from typing import Literal

import msgspec


class Number(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A published accuracy; a field that its table does not vary is None."""

    table: Literal["table1", "table2", "table3", "table4", "table5", "table6"]
    dataset: str  # our name of it, or "average"
    method: str  # our name of it; also "zero-shot" and "teacher"
    what: Literal["base", "new", "hm", "accuracy"]
    value: float  # per cent
    source: str  # where it is printed
    printed: str  # the row's name as printed; empty where the row has none
    shots: int | None = None  # table 3
    label: Literal["hard", "full", "ms", "mr"] | None = None  # table 4
    teacher: str | None = None  # table 5
    # Table 6: which of the two difference losses.
    terms: Literal["none", "first", "second", "both"] | None = None

    @property
    def varied(self) -> str:
        """What its table varies; empty: nothing."""
        settings = (self.shots, self.label, self.teacher, self.terms)
        return "".join(str(setting) for setting in settings if setting is not None)


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to know before two numbers are compared."""

    topic: str
    text: str
    # What it is about: table, data set, method, what.
    rows: tuple[tuple[str, str, str, str], ...]


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the paper's text says of a figure whose values it does not print."""

    figure: str  # "figure8"
    what: str
    value: str
    source: str


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of published.json."""

    paper: dict[str, str]
    models: dict[str, str]  # "student" and "teacher" as stated; "teacher_rows"
    claims: tuple[Claim, ...]
    notes: tuple[Note, ...]
    numbers: tuple[Number, ...]  # in the order of the tables


def load() -> Published:
    """Read the published numbers, which ship with the package."""
    file = importlib.resources.files(__package__) / "published.json"
    return msgspec.json.decode(file.read_bytes(), type=Published)


def numbers_of(table: str, published: Published) -> list[Number]:
    """Return the numbers of a table, in order."""
    return [number for number in published.numbers if number.table == table]


def claims(figure: str, published: Published) -> str:
    """Say what the paper's text claims about a figure; empty: nothing."""
    texts = [f"{c.what}: {c.value}" for c in published.claims if c.figure == figure]
    return f"The paper's text: {'; '.join(texts)}." if texts else ""

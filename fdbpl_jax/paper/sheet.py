"""What one of the paper's tables or figures has come to with us, ready to be shown.

Markdown, CSV, PNG and the page are all made of it, whatever it is about.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from fdbpl_jax.reports.facts import RunFacts

Texts = Sequence[tuple[str, ...]]


class Panel(NamedTuple):
    """One plot of a figure.

    title, unit: of the numbers. names: of what is compared; with a `place`, numbers on
    the axis below, which that names. series: by what the legend calls them, a value for
    each name, None where there is none. kind: "bars" and "costs" (along a line) begin
    at zero; "dots" and "lines" have an axis that spans what is there. spreads: of the
    series that have one.
    """

    title: str
    unit: str
    names: tuple[str, ...]
    series: Mapping[str, tuple[float | None, ...]]
    kind: Literal["bars", "dots", "lines", "costs"]
    spreads: Mapping[str, tuple[float | None, ...]] = {}
    place: str = ""

    @property
    def has_values(self) -> bool:
        """Whether there is anything to plot."""
        return any(v is not None for values in self.series.values() for v in values)


@dataclasses.dataclass(frozen=True)
class Sheet:
    """One of the paper's tables or figures, ours, with what the paper prints."""

    name: str  # "table2", "figure9"
    title: str
    about: str  # how to read it; may be empty
    titles: tuple[str, ...]  # of the columns
    lines: Texts
    words: int  # how many leading columns hold words
    records: Sequence[Sequence[object]]  # for CSV: titles, lines in full precision
    facts: tuple[RunFacts, ...]  # of the runs it is made of
    lost: tuple[str, ...] = ()  # what is missing, in sentences
    panels: tuple[Panel, ...] = ()  # of a figure
    picture: bytes = b""  # a figure that is a picture: PNG
    printed: tuple[Sequence[str], Texts] | None = None  # the paper's own table

    @property
    def made_with(self) -> str:
        """Which models and devices ours was made with."""
        pairs = dict.fromkeys(
            f"student {one.student}, teacher {one.teacher}" for one in self.facts
        )
        devices = dict.fromkeys(one.device for one in self.facts)
        return f"Ours: {'; '.join(pairs)}; on {', '.join(devices)}."

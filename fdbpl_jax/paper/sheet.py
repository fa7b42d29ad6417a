"""What one of the paper's tables or figures has come to with us, ready to be shown.

Markdown, CSV, PNG and the page are all made of it, whatever it is about.
"""

import dataclasses
from collections.abc import Sequence

from fdbpl_jax.plots import Panel
from fdbpl_jax.reports.facts import RunFacts

Texts = Sequence[tuple[str, ...]]


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

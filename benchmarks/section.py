"""What a suite hands back: lines for the table, targets, and the raw numbers."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Target(NamedTuple):
    """A factor that was promised, and the one that was measured."""

    what: str
    wanted: float
    found: float

    def verdict(self) -> str:
        """In words: met, or missed by how much."""
        if self.found >= self.wanted:
            return "met"
        return f"missed by a factor of {self.wanted / self.found:.2g}"


class Section(NamedTuple):
    """The part of the report that one suite writes.

    lines: Markdown under the section's heading. data: JSON values, with every single
    timing that the lines are made of.
    """

    title: str
    lines: Sequence[str]
    targets: Sequence[Target]
    data: dict[str, Any]


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table: the first column to the left, the others to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]

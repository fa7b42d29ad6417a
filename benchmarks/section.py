"""The result of a suite: lines of the report, targets and raw numbers."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Target(NamedTuple):
    """A target factor and the measured one."""

    what: str
    wanted: float
    found: float

    def verdict(self) -> str:
        """Say whether the target is met, or by how much it is missed."""
        if self.found >= self.wanted:
            return "met"
        return f"missed by a factor of {apart(self.wanted / self.found, 1, 2)}"

    @property
    def found_text(self) -> str:
        """What was measured, with enough digits to tell it from what is wanted."""
        return apart(self.found, self.wanted, 3)


def apart(value: float, other: float, digits: int) -> str:
    """Write a value with at least so many digits, and so many as tell it from other."""
    texts = [f"{value:.{n}g}" for n in range(digits, 16)]
    return next((text for text in texts if float(text) != other), texts[0])


class Section(NamedTuple):
    """The part of the report that one suite writes.

    lines: Markdown under the section's heading. data: JSON values, with every
    timing that the lines are made of.
    """

    title: str
    lines: Sequence[str]
    targets: Sequence[Target]
    data: dict[str, Any]


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Format a Markdown table, first column left-aligned, the others right-aligned."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]

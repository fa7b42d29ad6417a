"""Sheets as Markdown."""

from collections.abc import Sequence

from fdbpl_jax.paper.sheet import Sheet
from fdbpl_jax.reports.text import bullets, markdown_table


def markdown(sheets: Sequence[Sheet]) -> str:
    """Each sheet: what it was made with, how to read it, and its lines."""
    parts = []
    for sheet in sheets:
        parts += [f"## {sheet.title}", sheet.made_with]
        if sheet.about:
            parts.append(sheet.about)
        if sheet.lost:
            parts.append(f"**Missing cells**\n\n{bullets(sheet.lost)}")
        parts.append(markdown_table(sheet.titles, sheet.lines, left=sheet.words))
    return "\n\n".join(parts) + "\n"

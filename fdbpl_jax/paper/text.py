"""Sheets as Markdown and as CSV."""

import csv
import io
from collections.abc import Sequence

from fdbpl_jax.paper.sheet import Sheet
from fdbpl_jax.report_text import markdown_table


def markdown(sheets: Sequence[Sheet]) -> str:
    """What a reader of a text needs: ours, how it was made, the printed numbers by it."""
    parts = []
    for sheet in sheets:
        parts += [f"## {sheet.title}", sheet.made_with]
        if sheet.about:
            parts.append(sheet.about)
        if sheet.lost:
            parts.append("**Missing cells**\n\n" + "\n".join(f"- {x}" for x in sheet.lost))
        parts.append(markdown_table(sheet.titles, sheet.lines, left=sheet.words))
    return "\n\n".join(parts) + "\n"


def csv_text(sheet: Sheet) -> str:
    """Every record in full precision; an empty field where there is no value."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(sheet.records)
    return out.getvalue()

"""Sheets as one HTML page that loads nothing, and each as a PNG file."""

from collections.abc import Sequence

from fdbpl_jax import plots
from fdbpl_jax.paper.published import Note, Published
from fdbpl_jax.paper.sheet import Sheet
from fdbpl_jax.reports.figures import drawn
from fdbpl_jax.reports.html import render


def html(sheets: Sequence[Sheet], published: Published) -> str:
    """The page: a section per table or figure, ours first, then the published numbers.

    Args:
      sheets: in the order shown.
      published: the published numbers.
    """
    return render(
        "paper.html.j2",
        sheets=sheets,
        published=published,
        notes=[_note(note) for note in published.notes],
        drawn=drawn,
    )


def sheet_png(sheet: Sheet) -> bytes:
    """The sheet as one PNG: its picture, its plots, or its table."""
    if sheet.picture:
        return sheet.picture
    if sheet.panels:
        return plots.panels_png(sheet.panels)
    return plots.table_png(sheet.title, sheet.titles, sheet.lines, sheet.words)


def _note(note: Note) -> str:
    """What to know, after the places that it is about."""
    places = "; ".join(" ".join(row) for row in note.rows)
    return f"{places}: {note.text}" if places else note.text

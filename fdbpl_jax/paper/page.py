"""The paper's tables and figures, ours, as one HTML page that loads nothing."""

import base64
from collections.abc import Sequence
from html import escape

from fdbpl_jax.paper.published import Note, Published
from fdbpl_jax.paper.sheet import Panel, Sheet
from fdbpl_jax.paper.table_sheet import words_of
from fdbpl_jax.plots import panel_svg
from fdbpl_jax.reports.html_page import bullet_list, html_table, whole_page


def html(sheets: Sequence[Sheet], published: Published) -> str:
    """The page: a section a table or figure, ours first, then what the paper prints.

    Args:
      sheets: in the order shown.
      published: the printed numbers.
    """
    notes = bullet_list(_note(note) for note in published.notes)
    contents = "".join(
        f'<li><a href="#{sheet.name}">{escape(sheet.title)}</a></li>'
        for sheet in sheets
    )
    parts = [
        "<h1>The paper's tables and figures</h1>",
        f'<p class="soft">{escape(_about(published))}</p>',
        f"<ul>{contents}</ul>",
        *(_section(sheet) for sheet in sheets),
        f"<h2>About the printed numbers</h2>{notes}",
    ]
    return whole_page("The paper's tables and figures", "\n".join(parts))


def _section(sheet: Sheet) -> str:
    parts = [f'<h2 id="{sheet.name}">{escape(sheet.title)}</h2>']
    parts.append(f"<p>{escape(sheet.made_with)}</p>")
    if sheet.about:
        parts.append(f'<p class="soft">{escape(sheet.about)}</p>')
    if sheet.lost:
        items = bullet_list(sheet.lost)
        parts.append(f'<div class="warn"><b>Missing cells</b>{items}</div>')
    if sheet.panels:
        plots = "".join(_plot(panel) for panel in sheet.panels)
        parts.append(f'<div class="figures">{plots}</div>')
    if sheet.picture:
        source = _data("image/png", sheet.picture)
        parts.append(f'<img alt="{escape(sheet.title)}" src="{source}">')
    table = html_table(sheet.titles, sheet.lines, sheet.words)
    if sheet.panels or sheet.picture:
        table = f"<details><summary>In numbers</summary>{table}</details>"
    parts.append(table)
    if sheet.printed:
        theirs = html_table(*sheet.printed, words=words_of(sheet.printed[0]))
        summary = "<summary>What the paper prints</summary>"
        parts.append(f"<details>{summary}{theirs}</details>")
    commands = "\n".join(dict.fromkeys(facts.command for facts in sheet.facts))
    parts.append(
        f"<details><summary>How ours was made</summary>"
        f"<pre>{escape(commands)}</pre></details>"
    )
    return "\n".join(parts)


def _plot(panel: Panel) -> str:
    source = _data("image/svg+xml", panel_svg(panel).encode())
    what = escape(f"{panel.title}, {panel.unit}; the numbers are in the table below")
    return f'<figure class="plot"><img alt="{what}" src="{source}"></figure>'


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _note(note: Note) -> str:
    """What to know, after the places that it is about."""
    places = "; ".join(" ".join(row) for row in note.rows)
    return f"{places}: {note.text}" if places else note.text


def _about(published: Published) -> str:
    models = published.models
    return (
        "Ours are from the data sets and models that each section names. Printed "
        f"numbers are those of “{published.paper['title']}” ({models['student']} as "
        f"student, {models['teacher']} as teacher). They stand beside ours only for "
        "the same, whole data set, and compare only where the models are the same, too."
    )

"""The report as one HTML page that needs nothing else: styles and figures inside.

It is for a phone as for a wide screen, in the reader's light or dark theme. Nothing is
fetched, and a content security policy holds it to that.
"""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from fdbpl_jax.reports.facts import TABLE_COLUMNS, RunFacts, fact_texts, table_texts
from fdbpl_jax.reports.figures import accuracy_figure, legend, time_figure
from fdbpl_jax.reports.html_page import bullet_list, group_line, html_table, whole_page
from fdbpl_jax.reports.rejection_text import HOW_TO_REJECT, REJECTION_COLUMNS
from fdbpl_jax.reports.results import AVERAGE, Row
from fdbpl_jax.reports.text import (
    columns,
    has_new,
    how_to_read,
    missing,
    row_texts,
)


def page(rows: Sequence[Row], facts: RunFacts) -> str:
    """The whole page.

    Args:
      rows: of `summarise`.
      facts: how the run was made.

    Returns:
      HTML that loads nothing; every text in it is escaped.
    """
    sections = (
        _head(rows, facts),
        f"<h2>Table</h2>{_rows_table(rows)}{bullet_list(how_to_read(rows), 'soft')}",
        _accuracy_section(rows),
        _time_section(rows),
        _tables_section(facts),
        _rejection_section(facts),
        f"<h2>Notes</h2>{bullet_list(facts.notes)}" if facts.notes else "",
        f"<h2>How this was made</h2><pre>{escape(facts.command)}</pre>"
        + _pairs(fact_texts(facts)),
        f"<details><summary>Settings ({len(facts.config)})</summary>"
        f"{_pairs(facts.config)}</details>"
        if facts.config
        else "",
    )
    return whole_page(facts.protocol, "\n".join(filter(None, sections)))


def _head(rows: Sequence[Row], facts: RunFacts) -> str:
    datasets = len({row.dataset for row in rows} - {AVERAGE})
    methods = len({row.method for row in rows})
    size = (
        f"{datasets} data set{'s' * (datasets != 1)}, "
        f"{methods} method{'s' * (methods != 1)}"
    )
    about = escape(f"{size} · {facts.device} · {facts.started}")
    parts = [
        f"<h1>{escape(facts.protocol)}</h1>",
        f'<p class="soft">{about}</p>',
    ]
    if lost := (*missing(rows), *facts.failures):
        parts.append(f'<div class="warn"><b>Missing cells</b>{bullet_list(lost)}</div>')
    return "".join(parts)


def _rows_table(rows: Sequence[Row]) -> str:
    shown, groups = columns(rows), []
    for dataset, group in groupby(rows, key=lambda row: row.dataset):
        lines = "".join(_table_line(row, shown) for row in group)
        groups.append(f"<tbody>{group_line(dataset, len(shown) + 1)}{lines}</tbody>")
    titles = "".join(f'<th scope="col">{title}</th>' for title in shown)
    return (
        '<div class="scroll" tabindex="0"><table><thead><tr><th scope="col">method</th>'
        f"{titles}</tr></thead>{''.join(groups)}</table></div>"
    )


def _table_line(row: Row, shown: Sequence[str]) -> str:
    *texts, seeds = (escape(text) for text in row_texts(row, shown))
    lost = ' class="lost"' if row.seeds < row.expected else ""
    # Accuracies: the spread has its own box, so that the means are in line.
    several = shown.index("HM of means") if "HM of means" in shown else 1
    spread = [text.replace(" ± ", '<span class="std"> ± ') for text in texts[:several]]
    spread = [
        t + ("</span>" if "<" in t else '<span class="std"></span>') for t in spread
    ]
    cells = "".join(f"<td>{text}</td>" for text in (*spread, *texts[several:]))
    name = escape(row.method).replace("+", "+<wbr>")
    name = f'<th scope="row" class="method">{name}</th>'
    return f"<tr>{name}{cells}<td{lost}>{seeds}</td></tr>"


def _accuracy_section(rows: Sequence[Row]) -> str:
    new = has_new(rows)
    marks = legend() if new else ""
    panels = "".join(
        f"<figure><h3>{escape(dataset)}</h3>"
        f"{accuracy_figure(list(group), new)}</figure>"
        for dataset, group in groupby(rows, key=lambda row: row.dataset)
    )
    return (
        "<h2>Accuracy</h2>"
        '<p class="soft">Percent, with ± standard deviation over seeds; each panel has '
        f'its own scale.</p>{marks}<div class="figures">{panels}</div>'
    )


def _time_section(rows: Sequence[Row]) -> str:
    several = any(row.dataset == AVERAGE for row in rows)
    dots = " A small ring is a data set, the dot their mean." if several else ""
    return (
        "<h2>Training time</h2>"
        '<p class="soft">Seconds on a logarithmic scale, mean over seeds, without the '
        f"RIL table.{dots}</p>"
        f'<div class="figures"><figure>{time_figure(rows)}</figure></div>'
    )


def _tables_section(facts: RunFacts) -> str:
    if not facts.tables:
        return ""
    return f"<h2>RIL tables</h2>{html_table(TABLE_COLUMNS, table_texts(facts))}"


def _rejection_section(facts: RunFacts) -> str:
    if not facts.rejection:
        return ""
    table = html_table(REJECTION_COLUMNS, facts.rejection, words=4)
    return f'<h2>Rejection</h2><p class="soft">{escape(HOW_TO_REJECT)}</p>{table}'


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in pairs)
    return f"<dl>{items}</dl>"

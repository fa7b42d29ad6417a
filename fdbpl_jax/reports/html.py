"""HTML pages with their styles and figures inside: nothing is fetched."""

import base64
from collections.abc import Sequence
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined

from fdbpl_jax.errors import printable
from fdbpl_jax.reports.columns import (
    HOW_TO_REJECT,
    REJECTION_TITLES,
    has_new,
    how_to_read,
    missing,
    row_table,
)
from fdbpl_jax.reports.facts import TABLE_TITLES, RunFacts, fact_texts, table_texts
from fdbpl_jax.reports.results import AVERAGE, Row

_TEMPLATES = Environment(
    loader=PackageLoader("fdbpl_jax.reports"),
    autoescape=True,
    finalize=lambda value: printable(value) if type(value) is str else value,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["printable"] = printable
_TEMPLATES.filters["base64"] = lambda content: base64.b64encode(content).decode()


def render(template: str, **values: object) -> str:
    """Fill in a template of `templates/`; every text is escaped."""
    return _TEMPLATES.get_template(template).render(values)


def page(rows: Sequence[Row], facts: RunFacts) -> str:
    """The report as one page."""
    from fdbpl_jax.reports import figures  # Matplotlib loads slowly

    accuracies = [
        figures.accuracy_panel(list(group), has_new(rows))
        for _, group in groupby(rows, key=lambda row: row.dataset)
    ]
    return render(
        "report.html.j2",
        facts=facts,
        datasets=len({row.dataset for row in rows} - {AVERAGE}),
        methods=len({row.method for row in rows}),
        several=any(row.dataset == AVERAGE for row in rows),
        lost=(*missing(rows), *facts.failures),
        row_table=row_table(rows),
        how_to_read=how_to_read(rows),
        accuracy_plots=figures.drawn(accuracies),
        time_plots=figures.drawn([figures.time_panel(rows)]),
        ril_table=(TABLE_TITLES, table_texts(facts)),
        rejection_table=(REJECTION_TITLES, facts.rejection),
        how_to_reject=HOW_TO_REJECT,
        fact_texts=fact_texts(facts),
    )

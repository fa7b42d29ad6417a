"""The files of a report: report.md, report.csv, cells.csv, report.html, report.json.

Pages have their styles and figures inside: nothing is fetched.
"""

import base64
import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from fdbpl_jax.errors import UserError, printable
from fdbpl_jax.files import csv_text, write_text
from fdbpl_jax.files.sealed import seal, unseal_if_sealed
from fdbpl_jax.reports.columns import has_new, how_to_read, missing, row_table
from fdbpl_jax.reports.facts import RunFacts, fact_texts, sections, tested_texts
from fdbpl_jax.reports.results import AVERAGE, EARLIER, CellResult, Row
from fdbpl_jax.reports.text import markdown

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


class _Report(msgspec.Struct):
    """Content of report.json."""

    rows: tuple[Row, ...]
    facts: RunFacts


def write_report(
    directory: Path, rows: Sequence[Row], cells: Sequence[CellResult], facts: RunFacts
) -> None:
    """Write the report's files; each is replaced completely or not touched.

    They are `report.md` and `report.html` to read, `report.csv` (the rows) and
    `cells.csv` in full precision, and `report.json` for `read_report`.

    Raises:
      UserError: a file cannot be written.
    """
    content = json.loads(msgspec.json.encode(_Report(tuple(rows), facts)))
    files = {
        "report.md": markdown(rows, facts),
        "report.csv": _csv(Row, rows),
        "cells.csv": _csv(CellResult, cells),
        "report.html": page(rows, facts),
        "report.json": json.dumps(seal(content), indent=1) + "\n",
    }
    for name, text in files.items():
        write_text(directory / name, text)


def read_report(directory: Path) -> tuple[tuple[Row, ...], RunFacts]:
    """The rows and facts that `write_report` wrote.

    Raises:
      UserError: there is no report, or it is incomplete, damaged or of another form.
        Reports of earlier versions have no digest.
    """
    file = directory / "report.json"
    try:
        content = file.read_bytes()
        report = msgspec.json.decode(content, type=_Report)
        unseal_if_sealed(content)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no report read from '{file}': {error}", "Run the command of it again."
        ) from error
    return report.rows, report.facts


def _csv(kind: type, records: Sequence[Row] | Sequence[CellResult]) -> str:
    """A line per record, its fields as columns."""
    titles = [title for title in kind.__annotations__ if title not in EARLIER]
    lines = [[getattr(record, title) for title in titles] for record in records]
    return csv_text([titles, *lines])


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
        tables=any(row.table_seconds for row in rows),
        tested_texts=tested_texts(facts),
        sections=sections(facts),
        fact_texts=fact_texts(facts),
    )

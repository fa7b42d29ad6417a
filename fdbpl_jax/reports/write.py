"""The files of a report: report.md, report.csv, cells.csv, report.html, report.json."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from fdbpl_jax.errors import UserError
from fdbpl_jax.files import csv_text, write_text
from fdbpl_jax.reports.facts import RunFacts
from fdbpl_jax.reports.html import page
from fdbpl_jax.reports.results import CellResult, Row
from fdbpl_jax.reports.text import markdown


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
    content = msgspec.json.encode(_Report(tuple(rows), facts))
    files = {
        "report.md": markdown(rows, facts),
        "report.csv": _csv(Row, rows),
        "cells.csv": _csv(CellResult, cells),
        "report.html": page(rows, facts),
        "report.json": msgspec.json.format(content, indent=1).decode() + "\n",
    }
    for name, text in files.items():
        write_text(directory / name, text)


def read_report(directory: Path) -> tuple[tuple[Row, ...], RunFacts]:
    """The rows and facts that `write_report` wrote.

    Raises:
      UserError: there is no report, or it is incomplete or of another form.
    """
    file = directory / "report.json"
    try:
        report = msgspec.json.decode(file.read_bytes(), type=_Report)
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(
            f"no report read from '{file}': {error}", "Run the command of it again."
        ) from error
    return report.rows, report.facts


def _csv(kind: type, records: Sequence[Row] | Sequence[CellResult]) -> str:
    """A line per record, its fields as columns."""
    titles = list(kind.__annotations__)
    lines = [[getattr(record, title) for title in titles] for record in records]
    return csv_text([titles, *lines])

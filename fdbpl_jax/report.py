"""The files a protocol leaves: report.md, report.csv, cells.csv and report.html."""

import csv
import dataclasses
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from fdbpl_jax.files import write_text
from fdbpl_jax.report_html import page
from fdbpl_jax.report_text import RunFacts, markdown, terminal_table
from fdbpl_jax.results import AVERAGE, CellResult, Row, summarise

__all__ = [
    "AVERAGE",
    "CellResult",
    "Row",
    "RunFacts",
    "summarise",
    "terminal_table",
    "write_report",
]


def write_report(
    directory: Path, rows: Sequence[Row], cells: Sequence[CellResult], facts: RunFacts
) -> None:
    """Write the report's files; each is replaced as a whole or not touched.

    Args:
      directory: made if it is missing. Gets `report.md` and `report.html` to read,
        `report.csv` (the rows) and `cells.csv` (the cells) in full precision.
      rows: of `summarise(cells)`.
      cells: the cells that finished.
      facts: how the run was made.

    Raises:
      UserError: a file cannot be written.
    """
    files = {
        "report.md": markdown(rows, facts),
        "report.csv": _csv(Row, rows),
        "cells.csv": _csv(CellResult, cells),
        "report.html": page(rows, facts),
    }
    for name, text in files.items():
        write_text(directory / name, text)


def _csv(kind: type, records: Iterable) -> str:
    """A line a dataclass, its fields as columns; None is an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(kind))
    writer.writerows(dataclasses.astuple(record) for record in records)
    return out.getvalue()

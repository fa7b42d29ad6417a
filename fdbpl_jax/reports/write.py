"""The files a protocol leaves: report.md, report.csv, cells.csv and report.html."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from fdbpl_jax.errors import UserError
from fdbpl_jax.files import csv_text, write_text
from fdbpl_jax.reports.facts import RunFacts, TableFacts
from fdbpl_jax.reports.html import page
from fdbpl_jax.reports.results import AVERAGE, CellResult, Row, summarise
from fdbpl_jax.reports.text import markdown, terminal_table

__all__ = [
    "AVERAGE",
    "CellResult",
    "Row",
    "RunFacts",
    "TableFacts",
    "read_report",
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
        `report.csv` (the rows) and `cells.csv` (the cells) in full precision, and
        `report.json` for `read_report`.
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
        "report.json": _json(rows, facts),
    }
    for name, text in files.items():
        write_text(directory / name, text)


def read_report(directory: Path) -> tuple[tuple[Row, ...], RunFacts]:
    """The rows and facts that `write_report` wrote.

    Raises:
      UserError: there is no report, or it is not whole.
    """
    file = directory / "report.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        rows = tuple(Row(**row) for row in content["rows"])
        facts = content["facts"]
        for name in ("config", "notes", "failures", "rejection"):
            facts[name] = tuple(
                tuple(item) if isinstance(item, list) else item for item in facts[name]
            )
        tables = facts["tables"]
        facts["tables"] = {name: TableFacts(*one) for name, one in tables.items()}
        facts["sizes"] = {name: tuple(size) for name, size in facts["sizes"].items()}
        return rows, RunFacts(**facts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"no report read from '{file}': {error}", "Run the command of it again."
        ) from error


def _json(rows: Sequence[Row], facts: RunFacts) -> str:
    content = {
        "rows": [dataclasses.asdict(row) for row in rows],
        "facts": dataclasses.asdict(facts),
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _csv(kind: type, records: Iterable) -> str:
    """A line a dataclass, its fields as columns."""
    titles = [field.name for field in dataclasses.fields(kind)]
    return csv_text([titles, *map(dataclasses.astuple, records)])

"""All that was run of the paper: one HTML page, and Markdown, CSV and PNG files."""

from collections.abc import Sequence
from pathlib import Path

from fdbpl_jax import plots
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import csv_text, write_bytes, write_text
from fdbpl_jax.paper.figures import component_sheet, keep_sheet, time_sheet
from fdbpl_jax.paper.pictures import DRAWN, picture_sheet
from fdbpl_jax.paper.published import Published, load
from fdbpl_jax.paper.sheet import Sheet, markdown
from fdbpl_jax.paper.tables import TITLES, table_sheet
from fdbpl_jax.reports.figures import drawn
from fdbpl_jax.reports.write import render


def sheets_of(workdir: Path, published: Published) -> list[Sheet]:
    """Make the sheets of the tables, then the figures, as far as they were run.

    Raises:
      UserError: a report, or a picture, is not whole.
    """
    sheets = [
        *(table_sheet(name, workdir, published) for name in TITLES),
        time_sheet(workdir, published),
        keep_sheet(workdir, published),
        component_sheet(workdir, published),
        *(picture_sheet(workdir, name) for name in DRAWN),
    ]
    return [sheet for sheet in sheets if sheet and sheet.runs]


def write_paper(workdir: Path) -> Sequence[Sheet]:
    """Write the files of all sheets into `<workdir>/paper`, and return the sheets.

    Raises:
      UserError: nothing was run, or what `sheets_of` refuses.
    """
    published = load()
    sheets, folder = sheets_of(workdir, published), workdir / "paper"
    if not sheets:
        raise UserError(
            f"nothing of the paper was run in '{folder}'",
            "Run `python -m fdbpl_jax.paper run`.",
        )
    for sheet in sheets:
        write_text(folder / f"{sheet.name}.md", markdown([sheet]))
        write_text(folder / f"{sheet.name}.csv", csv_text(sheet.records))
        write_bytes(folder / f"{sheet.name}.png", sheet_png(sheet))
    write_text(folder / "paper.md", markdown(sheets))
    write_text(folder / "paper.html", html(sheets, published))
    return sheets


def html(sheets: Sequence[Sheet], published: Published) -> str:
    """The page: a section per table or figure, ours first, then the published one."""
    return render("paper.html.j2", sheets=sheets, published=published, drawn=drawn)


def sheet_png(sheet: Sheet) -> bytes:
    """The sheet as one PNG: its picture, its plots, or its table."""
    if sheet.picture:
        return sheet.picture
    if sheet.panels:
        return plots.panels_png(sheet.panels)
    return plots.table_png(sheet.title, *sheet.table)

"""The paper's figures 11 and 12: pictures of finished cells of figure 10.

Drawing needs the student and the images. A drawing is kept in the workdir, so that its
sheet needs neither.
"""

import json
import math
from pathlib import Path

import msgspec

from fdbpl_jax.errors import UserError
from fdbpl_jax.files import write_text
from fdbpl_jax.files.sealed import seal, unseal_if_sealed
from fdbpl_jax.paper.attention import attention
from fdbpl_jax.paper.cases import LEAST, RIGHT, cases
from fdbpl_jax.paper.cell import open_cell
from fdbpl_jax.paper.drawing import Drawing
from fdbpl_jax.paper.sheet import FinishedRun, Sheet, finished_cells, finished_runs
from fdbpl_jax.reports.columns import Column

DIFFERENCES = "diff2", "neg"  # parts of figure 10: with the difference losses, without
DRAWN = {
    "figure11": "Figure 11: where prompts look",
    "figure12": "Figure 12: what the difference losses put right and wrong",
}
_ATTENTION = (
    "Grad-CAM of an image's own class on the student's image tower: for 'a photo of a "
    "…', the positive prompt, the negative prompt, and the direction from the negative "
    "to the positive one. Each map has its own scale."
)
_IMAGES = 6  # in figure 11; in figure 12 of each kind
_LISTED = 40  # lines on the page; all of them are in the CSV file


def draw(name: str, workdir: Path, data_root: str) -> None:
    """Draw figure 11 or 12 on the first data set of figure 10.

    An empty `data_root` is the embedded world's.

    Raises:
      UserError: there are no finished cells to draw, or `open_cell` refuses them.
    """
    runs = finished_runs(workdir, f"figure10/{DIFFERENCES[0]}")
    folders = [folder for run in runs for folder in _cells(workdir, name, run.dataset)]
    if not folders:
        raise UserError(
            f"{name}: there are no finished cells of figure 10 to draw",
            f"Run `python -m fdbpl_jax.paper run {name}` until its cells are finished.",
        )
    data_root = data_root or str(workdir / "shapes")
    cell, *others = [open_cell(folder, "", data_root) for folder in folders]
    if others:
        drawing = cases(cell, others[0], workdir / "features", _IMAGES)
    else:
        drawing = attention(cell, _IMAGES)
    content = json.dumps(seal(msgspec.to_builtins(drawing)))
    write_text(_file(workdir, name, runs[0]), content)


def _file(workdir: Path, name: str, run: FinishedRun) -> Path:
    return workdir / "paper" / "pictures" / f"{name}-{run.dataset}.json"


def _cells(workdir: Path, name: str, dataset: str) -> list[Path]:
    """Folders of the first seed that both parts have finished, for figure 11 of one."""
    first, second = (
        {cell.name: cell for cell in finished_cells(folder, dataset, "coop+fdbpl")}
        for folder in (workdir / "paper" / "figure10" / part for part in DIFFERENCES)
    )
    seeds = first.keys() & second.keys()
    if name == "figure11":
        return [first[min(seeds or first)]] if first else []
    return [cells[min(seeds)] for cells in (first, second)] if seeds else []


def picture_sheet(workdir: Path, name: str) -> Sheet | None:
    """Make figure 11 or 12; None where it was not drawn."""
    runs = finished_runs(workdir, f"figure10/{DIFFERENCES[0]}")
    if not runs or not _file(workdir, name, runs[0]).exists():
        return None
    drawing = _read(name, _file(workdir, name, runs[0]))
    numbers = {"gain": "{:+.3f}".format}  # how they are written; the others are words
    return Sheet(
        name=name,
        title=DRAWN[name],
        about=_ATTENTION if name == "figure11" else _counts(drawing, runs[0]),
        columns=[
            Column(title, (title,), numbers.get(title, str), word=title not in numbers)
            for title in drawing.titles
        ],
        lines=[dict(zip(drawing.titles, row, strict=True)) for row in drawing.rows],
        runs=runs,
        limit=_LISTED,
        picture=drawing.picture,
    )


def _read(name: str, file: Path) -> Drawing:
    try:
        return msgspec.convert(unseal_if_sealed(file.read_bytes()), Drawing)
    except (OSError, ValueError) as error:
        raise UserError(
            f"'{file}' holds no whole drawing: {error}",
            f"Run `python -m fdbpl_jax.paper run {name}` again.",
        ) from error


def _counts(drawing: Drawing, run: FinishedRun) -> str:
    _, images = run.facts.sizes[run.dataset]
    right = sum(row[1] == RIGHT for row in drawing.rows)
    wrong = len(drawing.rows) - right
    # Of the difference, if each image went either way with the same chance.
    error = math.sqrt(right + wrong)
    beyond = "more" if abs(right - wrong) > error else "not more"
    return (
        "CoOp+FDBPL with both difference losses against the same without them, in one "
        f"seed: of {images} test images {right} put right, {wrong} put wrong, a "
        f"difference of {beyond} than its standard error of {error:.1f}. Those whose "
        "true class changes most in probability come first; drawn are changes by "
        f"{LEAST} or more. "
        "Images of new classes are classified among those alone."
    )

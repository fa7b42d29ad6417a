"""The paper's figures 11 and 12: pictures of finished cells of figure 10.

Drawing needs the student and the images. A drawing is kept in the workdir, so that its
sheet needs neither.
"""

from operator import itemgetter
from pathlib import Path

import msgspec

from fdbpl_jax.errors import UserError
from fdbpl_jax.files import write_bytes
from fdbpl_jax.paper.attention import attention
from fdbpl_jax.paper.cases import RIGHT, cases
from fdbpl_jax.paper.cell import open_cell
from fdbpl_jax.paper.drawing import Drawing
from fdbpl_jax.paper.finished import FinishedRun, finished_runs
from fdbpl_jax.paper.sheet import Sheet, column

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
_LISTED = 40  # rows on the page; all of them are in the CSV file


def draw(name: str, workdir: Path, data_root: str) -> None:
    """Draw figure 11 or 12 on the first data set of figure 10.

    An empty `data_root` is the embedded world's.

    Raises:
      UserError: there are no finished cells to draw, or `open_cell` refuses them.
    """
    run = _drawn_run(workdir)
    folders = _cells(workdir, name, run.dataset) if run else []
    if run is None or not folders:
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
    write_bytes(_file(workdir, name, run), msgspec.json.encode(drawing))


def _drawn_run(workdir: Path) -> FinishedRun | None:
    runs = finished_runs([workdir / "paper" / "figure10" / DIFFERENCES[0]])
    return runs[0] if runs else None


def _file(workdir: Path, name: str, run: FinishedRun) -> Path:
    return workdir / "paper" / "pictures" / f"{name}-{run.dataset}.json"


def _cells(workdir: Path, name: str, dataset: str) -> list[Path]:
    """Folders of the first seed that both parts have finished, for figure 11 of one."""
    figure = workdir / "paper" / "figure10"
    folders = [figure / part / dataset / "coop+fdbpl" for part in DIFFERENCES]
    first, second = (
        {file.parent.name for file in folder.glob("seed*/results.jsonl")}
        for folder in folders
    )
    seeds = first & second
    if name == "figure11":
        seeds, folders = seeds or first, folders[:1]
    return [folder / min(seeds) for folder in folders] if seeds else []


def picture_sheet(workdir: Path, name: str) -> Sheet | None:
    """Make figure 11 or 12; None where it was not drawn."""
    run = _drawn_run(workdir)
    if run is None or not _file(workdir, name, run).exists():
        return None
    drawing = _read(name, _file(workdir, name, run))
    numbers = {"gain": "{:+.3f}".format}  # how they are written; the others are words
    columns = [
        column(t, t, itemgetter(place), numbers.get(t, str), word=t not in numbers)
        for place, t in enumerate(drawing.titles)
    ]
    return Sheet(
        name=name,
        title=DRAWN[name],
        about=_ATTENTION if name == "figure11" else _counts(drawing, run),
        columns=columns,
        rows=drawing.rows,
        facts=(run.facts,),
        limit=_LISTED,
        picture=drawing.picture,
    )


def _read(name: str, file: Path) -> Drawing:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Drawing)
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(
            f"'{file}' holds no whole drawing: {error}",
            f"Run `python -m fdbpl_jax.paper run {name}` again.",
        ) from error


def _counts(drawing: Drawing, run: FinishedRun) -> str:
    _, images = run.facts.sizes[run.dataset]
    right = sum(row[1] == RIGHT for row in drawing.rows)
    return (
        "CoOp+FDBPL with both difference losses against the same without them, in one "
        f"seed: of {images} test images {right} put right, {len(drawing.rows) - right} "
        "put wrong. Those whose true class changes most in probability come first. "
        "Images of new classes are classified among those alone."
    )

"""The paper's figures 11 and 12 as sheets, from what `visualize` has drawn."""

import csv
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax.errors import UserError
from fdbpl_jax.paper.cases import RIGHT
from fdbpl_jax.paper.finished import Finished, finished_runs
from fdbpl_jax.paper.sheet import Sheet

_ATTENTION = (
    "Grad-CAM of an image's own class on the student's image tower: for 'a photo of a "
    "…', the positive prompt, the negative prompt, and the direction from the negative "
    "to the positive one. Each map has its own scale."
)
_SHOWN = 40  # lines of cases; all of them are in the CSV file


class _Drawn(NamedTuple):
    """A figure that was drawn: of which run, the PNG, and the list of what it shows."""

    run: Finished
    picture: bytes
    titles: tuple[str, ...]
    lines: list[list[str]]


def attention_sheet(workdir: Path) -> Sheet | None:
    """Figure 11: where prompts look.

    Args:
      workdir: of the runs.

    Returns:
      None where it was not drawn.

    Raises:
      UserError: what was drawn, or the run it is of, is not there whole.
    """
    drawn = _drawn(workdir, "figure11")
    if drawn is None:
        return None
    return Sheet(
        name="figure11",
        title="Figure 11: where prompts look",
        about=_ATTENTION,
        titles=drawn.titles,
        lines=[tuple(line) for line in drawn.lines],
        words=2,
        records=[drawn.titles, *drawn.lines],
        facts=(drawn.run.facts,),
        picture=drawn.picture,
    )


def case_sheet(workdir: Path) -> Sheet | None:
    """Figure 12: test images that the difference losses put right or wrong.

    Args, returns and errors as of `attention_sheet`.
    """
    drawn = _drawn(workdir, "figure12")
    if drawn is None:
        return None
    _, images = drawn.run.facts.sizes[drawn.run.dataset]
    return Sheet(
        name="figure12",
        title="Figure 12: what the difference losses put right and wrong",
        about=_counts(drawn.lines, images),
        titles=drawn.titles,
        lines=[(*x, f"{float(gain):+.3f}") for *x, gain in drawn.lines[:_SHOWN]],
        words=5,
        records=[drawn.titles, *drawn.lines],
        facts=(drawn.run.facts,),
        picture=drawn.picture,
    )


def drawn_run(workdir: Path) -> Finished | None:
    """The run whose cells are drawn, on its first data set; None: it was not run."""
    runs = finished_runs([workdir / "paper" / "figure10" / "diff2"])
    return runs[0] if runs else None


def picture_file(workdir: Path, name: str, dataset: str) -> Path:
    """Where figure `name` is drawn; its list lies beside it, as CSV."""
    return workdir / "paper" / "pictures" / f"{name}-{dataset}.png"


def _drawn(workdir: Path, name: str) -> _Drawn | None:
    run = drawn_run(workdir)
    if run is None:
        return None
    file = picture_file(workdir, name, run.dataset)
    if not file.exists():
        return None
    try:
        text = file.with_suffix(".csv").read_text(encoding="utf-8")
        titles, *lines = csv.reader(text.splitlines())
    except (OSError, ValueError) as error:
        raise UserError(
            f"what '{file}' shows is not to be found: {error}",
            f"Run `python -m fdbpl_jax.paper run {name}` again.",
        ) from error
    return _Drawn(run, file.read_bytes(), tuple(titles), lines)


def _counts(lines: list[list[str]], images: int) -> str:
    right = sum(line[1] == RIGHT for line in lines)
    return (
        "CoOp+FDBPL with both difference losses against the same without them, in one "
        f"seed: of {images} test images {right} put right, {len(lines) - right} put "
        "wrong. Those whose true class changes most in probability come first. Images "
        "of new classes are sorted among those alone."
    )

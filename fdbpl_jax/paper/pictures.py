"""The paper's figures 11 and 12 as sheets, from what `visualize` has drawn."""

import csv
from pathlib import Path

from fdbpl_jax.errors import UserError
from fdbpl_jax.paper.finished import Finished, finished_runs
from fdbpl_jax.paper.sheet import Sheet
from fdbpl_jax.visualize.cases import RIGHT

_ATTENTION = (
    "Grad-CAM of an image's own class on the student's image tower: for 'a photo of a "
    "…', the positive prompt, the negative prompt, and the direction from the negative "
    "to the positive one. Each map has its own scale."
)
_SHOWN = 40  # lines of cases; all of them are in the CSV file


def attention_sheet(workdir: Path) -> Sheet | None:
    """Figure 11: where prompts look.

    Args:
      workdir: of the runs.

    Returns:
      None where it was not drawn.

    Raises:
      UserError: what was drawn, or the run it is of, is not there whole.
    """
    return _sheet(workdir, "figure11", "Figure 11: where prompts look", _ATTENTION, 2)


def case_sheet(workdir: Path) -> Sheet | None:
    """Figure 12: test images that the difference losses put right or wrong.

    Args, returns and errors as of `attention_sheet`.
    """
    title = "Figure 12: what the difference losses put right and wrong"
    return _sheet(workdir, "figure12", title, "", 5)


def drawn_dataset(workdir: Path) -> str:
    """The data set of the cells that are drawn, the first of figure 10; "": none."""
    runs = _drawn_run(workdir)
    return next(iter(runs[0].facts.sizes)) if runs else ""


def picture_file(workdir: Path, name: str, dataset: str) -> Path:
    """Where figure `name` is drawn; its list lies beside it, as CSV."""
    return workdir / "paper" / "pictures" / f"{name}-{dataset}.png"


def _drawn_run(workdir: Path) -> list[Finished]:
    return finished_runs([workdir / "paper" / "figure10" / "diff2"])


def _sheet(
    workdir: Path, name: str, title: str, about: str, words: int
) -> Sheet | None:
    dataset = drawn_dataset(workdir)
    file = picture_file(workdir, name, dataset)
    if not dataset or not file.exists():
        return None
    (run,) = _drawn_run(workdir)
    try:
        text = file.with_suffix(".csv").read_text(encoding="utf-8")
        titles, *lines = csv.reader(text.splitlines())
    except (OSError, ValueError) as error:
        raise UserError(
            f"what '{file}' shows is not to be found: {error}",
            f"Run `python -m fdbpl_jax.paper run {name}` again.",
        ) from error
    if name == "figure12":
        about = _counts(lines, run.facts.sizes[dataset][1])
    return Sheet(
        name=name,
        title=title,
        about=about,
        titles=tuple(titles),
        lines=[_texts(line) for line in lines[:_SHOWN]],
        words=words,
        records=[titles, *lines],
        facts=(run.facts,),
        picture=file.read_bytes(),
    )


def _counts(lines: list[list[str]], images: int) -> str:
    right = sum(line[1] == RIGHT for line in lines)
    return (
        "CoOp+FDBPL with both difference losses against the same without them, in one "
        f"seed: of {images} test images {right} put right, {len(lines) - right} put "
        "wrong. Those whose true class changes most in probability come first. Images "
        "of new classes are sorted among those alone."
    )


def _texts(line: list[str]) -> tuple[str, ...]:
    *words, last = line
    return (*words, f"{float(last):+.3f}") if len(line) > 2 else tuple(line)

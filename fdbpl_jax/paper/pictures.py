"""The paper's figures 11 and 12 as sheets, from what `visualize` has drawn."""

import csv
from pathlib import Path

from fdbpl_jax.errors import UserError
from fdbpl_jax.paper.finished import finished_runs
from fdbpl_jax.paper.sheet import Sheet
from fdbpl_jax.visualize.cases import RIGHT

FOLDER = "pictures"  # in the folder of the paper's runs
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


def _sheet(
    workdir: Path, name: str, title: str, about: str, words: int
) -> Sheet | None:
    file = workdir / "paper" / FOLDER / f"{name}.png"
    if not file.exists():
        return None
    runs = finished_runs([workdir / "paper" / "figure10" / "diff2"])
    try:
        text = file.with_suffix(".csv").read_text(encoding="utf-8")
        titles, *lines = csv.reader(text.splitlines())
        facts = (runs[0].facts,)
    except (OSError, ValueError, IndexError) as error:
        raise UserError(
            f"what '{file}' shows is not to be found: {error}",
            f"Run `python -m fdbpl_jax.paper run {name}` again.",
        ) from error
    if name == "figure12":
        about = _counts(lines, runs[0].facts.sizes)
    return Sheet(
        name=name,
        title=title,
        about=about,
        titles=tuple(titles),
        lines=[_texts(line) for line in lines[:_SHOWN]],
        words=words,
        records=[titles, *lines],
        facts=facts,
        picture=file.read_bytes(),
    )


def _counts(lines: list[list[str]], sizes: dict[str, tuple[int, int]]) -> str:
    right = sum(line[1] == RIGHT for line in lines)
    images = next(iter(sizes.values()))[1]
    return (
        "CoOp+FDBPL with both difference losses against the same without them, in one "
        f"seed: of {images} test images {right} put right, {len(lines) - right} put "
        "wrong. Those whose true class changes most in probability come first. Images "
        "of new classes are sorted among those alone."
    )


def _texts(line: list[str]) -> tuple[str, ...]:
    *words, last = line
    return (*words, f"{float(last):+.3f}") if len(line) > 2 else tuple(line)

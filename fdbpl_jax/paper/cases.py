"""Test images that one cell's prompts put right and another's do not (figure 12)."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from scipy.special import softmax

from fdbpl_jax.clip.image import preprocess
from fdbpl_jax.clip.model import logit_scale
from fdbpl_jax.data.images import read_image
from fdbpl_jax.data.splits import subset
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.features import split_features
from fdbpl_jax.paper.cell import OpenCell, class_text

RIGHT, WRONG = "put right", "put wrong"

_SIDE, _GAP, _LINE, _HEAD = 256, 14, 19, 34  # pixels
_COLUMNS = 3


class Case(NamedTuple):
    """A test image that one of two cells sorts right and the other does not.

    what: RIGHT or WRONG, by the cell over the other one. before, after: the class that
    the other cell and the cell give it. gain: of the true class's probability.
    """

    path: str
    what: str
    truth: str
    before: str
    after: str
    gain: float


def changed_cases(cell: OpenCell, other: OpenCell, cache: Path) -> list[Case]:
    """All test images on which the cells differ in being right, largest change first.

    Images of classes never trained on are sorted among those alone, as base-to-new
    tests them; contexts of single classes do not serve them.

    Args:
      cell: such as one with the difference losses.
      other: such as one without.
      cache: folder of kept image features.

    Raises:
      UserError: the cells are of other data, classes or students.
    """
    _check_alike(cell, other)
    which = cell.facts["config"]["classes"]
    specific = any(x.facts["config"]["prompt"]["class_specific"] for x in (cell, other))
    halves = ("base", "new") if which == "base" and not specific else (which,)
    found = [case for half in halves for case in _cases(cell, other, half, cache)]
    return sorted(found, key=lambda case: -abs(case.gain))


def _check_alike(cell: OpenCell, other: OpenCell) -> None:
    if cell.facts["student"]["sha256"] != other.facts["student"]["sha256"]:
        raise UserError(
            f"'{cell.path}' and '{other.path}' are of other students",
            "Give two cells of one student.",
        )
    for what in ("dataset", "classes"):
        ours, theirs = (one.facts["config"][what] for one in (cell, other))
        if ours != theirs:
            raise UserError(
                f"'{cell.path}' has {what} '{ours}', and '{other.path}' '{theirs}'",
                "Give two cells of one data set and protocol.",
            )


def _cases(cell: OpenCell, other: OpenCell, half: str, cache: Path) -> list[Case]:
    part = subset(cell.dataset, half)
    features = split_features(cell.clip, part, part.test, cache)
    before, after = (
        _probabilities(one, features, part.class_names) for one in (other, cell)
    )
    found = []
    for row, example in enumerate(part.test):
        old, new = before[row].argmax(), after[row].argmax()
        if (old == example.label) == (new == example.label):
            continue
        what = RIGHT if new == example.label else WRONG
        gain = float(after[row, example.label] - before[row, example.label])
        names = (part.class_names[place] for place in (example.label, old, new))
        found.append(Case(example.path, what, *names, gain))
    return found


def _probabilities(
    cell: OpenCell, features: Float[np.ndarray, "N D"], class_names: Sequence[str]
) -> Float[np.ndarray, "N C"]:
    text = class_text(cell, "positive", class_names)
    return softmax(logit_scale(cell.clip) * features @ np.asarray(text).T, axis=1)


def cases_picture(cell: OpenCell, cases: Sequence[Case], count: int) -> Image.Image:
    """The `count` first cases put right, and under them those put wrong.

    Args:
      cell: whose data set and image size.
      cases: of `changed_cases`.
      count: of each kind, at most.
    """
    groups = []
    for what in (RIGHT, WRONG):
        own = [case for case in cases if case.what == what]
        groups.append((f"{what}: {len(own)}", own[:count]))
    tile = _SIDE + 3 * _LINE + _GAP
    columns = max(1, min(_COLUMNS, max(len(own) for _, own in groups)))
    rows = sum(-(-len(own) // columns) for _, own in groups)
    size = columns * (_SIDE + _GAP) + _GAP, len(groups) * _HEAD + rows * tile
    sheet = Image.new("RGB", size, "white")
    draw, top = ImageDraw.Draw(sheet), 0
    for title, own in groups:
        draw.text((_GAP, top + 8), title, "black", ImageFont.load_default(size=17))
        top += _HEAD
        for number, case in enumerate(own):
            left = _GAP + number % columns * (_SIDE + _GAP)
            _draw_case(sheet, draw, cell, case, (left, top + number // columns * tile))
        top += -(-len(own) // columns) * tile
    return sheet


def _draw_case(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    cell: OpenCell,
    case: Case,
    place: tuple[int, int],
) -> None:
    left, top = place
    pixels = preprocess(read_image(cell.dataset.root, case.path), cell.clip.image.size)
    shown = Image.fromarray(pixels)
    sheet.paste(shown.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), place)
    font = ImageFont.load_default(size=13)
    colours = ("#00795a", "#a3231a")
    lines = [
        ("is: " + case.truth, "black"),
        ("without: " + case.before, colours[case.what == RIGHT]),
        ("with: " + case.after, colours[case.what == WRONG]),
    ]
    for number, (text, colour) in enumerate(lines):
        where = left, top + _SIDE + 2 + number * _LINE
        draw.text(where, _fitting(text, font), colour, font)


def _fitting(text: str, font: ImageFont.FreeTypeFont) -> str:
    """The text, cut where the tile ends."""
    while font.getlength(text) > _SIDE:
        text = text.rstrip("…")[:-1] + "…"
    return text

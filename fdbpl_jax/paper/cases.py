"""Test images that one cell classifies correctly and another does not (figure 12)."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Float
from PIL import Image
from scipy.special import softmax

from fdbpl_jax.clip.image import preprocess
from fdbpl_jax.clip.model import logit_scale
from fdbpl_jax.data.images import read_image
from fdbpl_jax.data.splits import subset
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.features import split_features
from fdbpl_jax.paper.cell import OpenCell, class_text
from fdbpl_jax.paper.drawing import Drawing, Tile, drawing, grid, listed

RIGHT, WRONG = "put right", "put wrong"

LEAST = 0.05  # of a change of probability that is worth a picture
_SIDE, _COLUMNS = 256, 3  # pixels of an image; images per row


class Case(NamedTuple):
    """A test image that only one of two cells classifies correctly."""

    path: str
    what: str  # RIGHT or WRONG, by the cell over the other one
    truth: str  # its class
    before: str  # the other cell's prediction
    after: str  # the cell's prediction
    gain: float  # of the true class's probability


def cases(cell: OpenCell, other: OpenCell, cache: Path, images: int) -> Drawing:
    """Draw the first `images` of each kind of `changed_cases`, and list all."""
    changed = changed_cases(cell, other, cache)
    right = sum(case.what == RIGHT for case in changed)
    logging.info("%d put right, %d put wrong", right, len(changed) - right)
    picture = cases_picture(cell, changed, images)
    rows = [case._replace(path=listed(case.path)) for case in changed]
    return drawing(picture, Case._fields, rows)


def changed_cases(cell: OpenCell, other: OpenCell, cache: Path) -> list[Case]:
    """List the test images on which one cell is right, largest change first.

    Images of classes never trained on are classified among those alone, as base-to-new
    tests them; class-specific contexts do not serve them. Image features are cached in
    the folder `cache`.

    Raises:
      UserError: the cells are of other data, classes or students.
    """
    _check_alike(cell, other)
    which = cell.facts["config"]["classes"]
    specific = any(x.facts["config"]["prompt"]["class_specific"] for x in (cell, other))
    halves = ("base", "new") if which == "base" and not specific else (which,)
    cases = [case for half in halves for case in _cases(cell, other, half, cache)]
    return sorted(cases, key=lambda case: -abs(case.gain))


def _check_alike(cell: OpenCell, other: OpenCell) -> None:
    if cell.facts["student"]["sha256"] != other.facts["student"]["sha256"]:
        raise UserError(
            f"'{cell.path}' and '{other.path}' are of other students",
            "Give two cells of one student.",
        )
    for what in ("dataset", "classes"):
        ours, theirs = (x.facts["config"][what] for x in (cell, other))
        if ours != theirs:
            raise UserError(
                f"'{cell.path}' has {what} '{ours}', and '{other.path}' '{theirs}'",
                "Give two cells of one data set and protocol.",
            )


def _cases(cell: OpenCell, other: OpenCell, half: str, cache: Path) -> list[Case]:
    part = subset(cell.dataset, half)
    features = split_features(cell.clip, part, part.test, cache)
    before, after = (
        _probabilities(x, features, part.class_names) for x in (other, cell)
    )
    cases, names = [], part.class_names
    for example, was, now in zip(part.test, before, after, strict=True):
        label, old, new = example.label, was.argmax(), now.argmax()
        if (old == label) != (new == label):
            what = RIGHT if new == label else WRONG
            classes = names[label], names[old], names[new]
            gain = float(now[label] - was[label])
            cases.append(Case(example.path, what, *classes, gain))
    return cases


def _probabilities(
    cell: OpenCell, features: Float[np.ndarray, "N D"], class_names: Sequence[str]
) -> Float[np.ndarray, "N C"]:
    text = class_text(cell, "positive", class_names)
    return softmax(logit_scale(cell.clip) * features @ np.asarray(text).T, axis=1)


def cases_picture(cell: OpenCell, cases: Sequence[Case], count: int) -> Image.Image:
    """Draw the first `count` cases put right, and under them those put wrong.

    Changes of less than `LEAST` are only counted.
    """
    bands = []
    for what in (RIGHT, WRONG):
        group = [case for case in cases if case.what == what]
        clear = [case for case in group if abs(case.gain) >= LEAST]
        tiles = [_tile(cell, case) for case in clear[:count]]
        title = f"{what}: {len(group)}, {len(clear)} by {LEAST} or more"
        bands.append((title, tiles))
    columns = max(1, min(_COLUMNS, max(len(tiles) for _, tiles in bands)))
    return grid(bands, columns, _SIDE)


def _tile(cell: OpenCell, case: Case) -> Tile:
    pixels = preprocess(read_image(cell.dataset.root, case.path), cell.clip.image)
    colours = ("#00795a", "#a3231a")
    texts = [
        ("is: " + case.truth, "black"),
        ("without: " + case.before, colours[case.what == RIGHT]),
        ("with: " + case.after, colours[case.what == WRONG]),
    ]
    return Tile(Image.fromarray(pixels), texts)

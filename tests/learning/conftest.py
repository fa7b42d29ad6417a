"""A few images of the embedded world, as a user keeps them."""

import csv
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from fdbpl_jax.shapes import render, world

IMAGES = 6  # of each class


class OwnData(NamedTuple):
    """The same images in several forms."""

    names: tuple[str, ...]
    folder: Path  # of class folders
    flat: Path  # all in one folder
    half: Path  # a CSV list with the labels of every other image


@pytest.fixture(scope="session", name="own")
def _own(tmp_path_factory) -> OwnData:
    root = tmp_path_factory.mktemp("own")
    folder, flat = root / "folder", root / "flat"
    flat.mkdir()
    looks = sorted(world.classes()[:9:3], key=lambda look: look.name)
    names = tuple(look.name for look in looks)
    rows = [["path", "label"]]
    for label, (name, look) in enumerate(zip(names, looks, strict=True)):
        (folder / name).mkdir(parents=True)
        for number in range(IMAGES):
            place = folder / name / f"{number}.png"
            render.render("shapes-plain", look, number, "train").save(place)
            shutil.copy(place, flat / f"{label}-{number}.png")
            path = str(place.relative_to(root))
            rows.append([path, "" if number % 2 else name])
    half = root / "half.csv"
    with half.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return OwnData(names, folder, flat, half)

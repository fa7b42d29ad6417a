"""The fifteen data sets of the field: files, templates and counts.

Folders and split files are those of CoOp (its DATASETS.md), so a data root that served
CoOp, MaPLe or KDPL serves here. Templates are CoOp's CUSTOM_TEMPLATES; counts are those
of the published splits.
"""

import dataclasses
from collections.abc import Callable, Mapping

from fdbpl_jax.data import class_names


@dataclasses.dataclass(frozen=True)
class Counts:
    """Numbers of classes and images of a data set."""

    classes: int
    train: int
    val: int
    test: int


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where a data set's files lie under the data root, and its template."""

    folder: str  # under the data root
    images: str  # under the folder; what paths are relative to
    lists: str  # under the folder: who is in which split, or the names of classes
    published: Counts
    kind: str = "split"  # how `lists` is read: see `datasets.py`
    template: str = "a photo of a {}."
    class_name: Callable[[str], str] = class_names.unchanged


CATALOGUE: Mapping[str, Layout] = {
    "imagenet": Layout(
        folder="imagenet",
        images="images",
        lists="classnames.txt",
        published=Counts(1000, 1_281_167, 0, 50_000),
        kind="imagenet",
    ),
    "caltech101": Layout(
        folder="caltech-101",
        images="101_ObjectCategories",
        lists="split_zhou_Caltech101.json",
        published=Counts(100, 4128, 1649, 2465),
        class_name=class_names.caltech101,
    ),
    "oxford_pets": Layout(
        folder="oxford_pets",
        images="images",
        lists="split_zhou_OxfordPets.json",
        published=Counts(37, 2944, 736, 3669),
        template="a photo of a {}, a type of pet.",
        class_name=class_names.oxford_pets,
    ),
    "stanford_cars": Layout(
        folder="stanford_cars",
        images="",
        lists="split_zhou_StanfordCars.json",
        published=Counts(196, 6509, 1635, 8041),
        class_name=class_names.stanford_cars,
    ),
    "oxford_flowers": Layout(
        folder="oxford_flowers",
        images="jpg",
        lists="split_zhou_OxfordFlowers.json",
        published=Counts(102, 4093, 1633, 2463),
        template="a photo of a {}, a type of flower.",
    ),
    "food101": Layout(
        folder="food-101",
        images="images",
        lists="split_zhou_Food101.json",
        published=Counts(101, 50_500, 20_200, 30_300),
        template="a photo of {}, a type of food.",
    ),
    "fgvc_aircraft": Layout(
        folder="fgvc_aircraft",
        images="images",
        lists="variants.txt",
        published=Counts(100, 3334, 3333, 3333),
        kind="aircraft",
        template="a photo of a {}, a type of aircraft.",
    ),
    "sun397": Layout(
        folder="sun397",
        images="SUN397",
        lists="split_zhou_SUN397.json",
        published=Counts(397, 15_880, 3970, 19_850),
        class_name=class_names.sun397,
    ),
    "dtd": Layout(
        folder="dtd",
        images="images",
        lists="split_zhou_DescribableTextures.json",
        published=Counts(47, 2820, 1128, 1692),
        template="{} texture.",
    ),
    "eurosat": Layout(
        folder="eurosat",
        images="2750",
        lists="split_zhou_EuroSAT.json",
        published=Counts(10, 13_500, 5400, 8100),
        template="a centered satellite photo of {}.",
        class_name=class_names.eurosat,
    ),
    "ucf101": Layout(
        folder="ucf101",
        images="UCF-101-midframes",
        lists="split_zhou_UCF101.json",
        published=Counts(101, 7639, 1898, 3783),
        template="a photo of a person doing {}.",
        class_name=class_names.ucf101,
    ),
    "imagenetv2": Layout(
        folder="imagenetv2",
        images="imagenetv2-matched-frequency-format-val",
        lists="classnames.txt",
        published=Counts(1000, 0, 0, 10_000),
        kind="numbered",
    ),
    "imagenet_sketch": Layout(
        folder="imagenet-sketch",
        images="images",
        lists="classnames.txt",
        published=Counts(1000, 0, 0, 50_889),
        kind="test_only",
    ),
    "imagenet_a": Layout(
        folder="imagenet-adversarial",
        images="imagenet-a",
        lists="classnames.txt",
        published=Counts(200, 0, 0, 7500),
        kind="test_only",
    ),
    "imagenet_r": Layout(
        folder="imagenet-rendition",
        images="imagenet-r",
        lists="classnames.txt",
        published=Counts(200, 0, 0, 30_000),
        kind="test_only",
    ),
}

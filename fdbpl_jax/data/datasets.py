"""The data sets by name: each a few lines that say where its files lie.

Folders and split files are those of CoOp (its DATASETS.md), so a data root that served
CoOp, MaPLe or KDPL serves here. Templates are CoOp's CUSTOM_TEMPLATES.
"""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from fdbpl_jax.data import splits
from fdbpl_jax.data.split_file import check_files, read_split
from fdbpl_jax.data.types import Dataset, Example, first_few, prompt_name
from fdbpl_jax.errors import UserError, unknown_name

__all__ = ["COOP", "CoopLayout", "Dataset", "Example", "load_dataset", "prompt_name"]


@dataclasses.dataclass(frozen=True)
class CoopLayout:
    """Where a data set's files lie under the data root, and how it speaks."""

    folder: str  # under the data root
    images: str  # under the folder; what the split file's paths are relative to
    split_file: str  # under the folder
    template: str = "a photo of a {}."
    rename: Mapping[str, str] = dataclasses.field(default_factory=dict)


COOP: Mapping[str, CoopLayout] = {
    "caltech101": CoopLayout(
        folder="caltech-101",
        images="101_ObjectCategories",
        split_file="split_zhou_Caltech101.json",
        rename={
            "airplanes": "airplane",
            "Faces": "face",
            "Leopards": "leopard",
            "Motorbikes": "motorbike",
        },
    ),
    "dtd": CoopLayout(
        folder="dtd",
        images="images",
        split_file="split_zhou_DescribableTextures.json",
        template="{} texture.",
    ),
    "eurosat": CoopLayout(
        folder="eurosat",
        images="2750",
        split_file="split_zhou_EuroSAT.json",
        template="a centered satellite photo of {}.",
        rename={
            "AnnualCrop": "Annual Crop Land",
            "HerbaceousVegetation": "Herbaceous Vegetation Land",
            "Highway": "Highway or Road",
            "Industrial": "Industrial Buildings",
            "Pasture": "Pasture Land",
            "PermanentCrop": "Permanent Crop Land",
            "Residential": "Residential Buildings",
            "SeaLake": "Sea or Lake",
        },
    ),
}


def load_dataset(name: str, root: Path) -> Dataset:
    """Finds a data set's files, and checks all that can be checked without decoding.

    Args:
      name: a key of `COOP`, or "folder" for a plain folder of class folders.
      root: the data root, which holds the data sets' folders; for "folder", the
        folder of class folders itself. A leading "~" is expanded.

    Returns:
      The full data set: all classes, all images of its train, val and test splits.

    Raises:
      UserError: for an unknown name, and for whatever is missing or contradictory on
        disk, naming what was looked for and where.
    """
    if name not in COOP and name != "folder":
        raise unknown_name("data set", name, [*COOP, "folder"])
    root = Path(os.path.expanduser(root)).absolute()
    if not root.is_dir():
        raise UserError(
            f"data root '{root}' is not a folder (looking for data set '{name}')",
            "Set --config.data.root to the folder that holds the data.",
        )
    if name == "folder":
        return splits.split_folder(root)
    return _load_coop(name, COOP[name], root)


def _load_coop(name: str, layout: CoopLayout, root: Path) -> Dataset:
    folder = root / layout.folder
    images, split_file = folder / layout.images, folder / layout.split_file
    if not folder.is_dir():
        held = first_few(sorted(path.name for path in root.iterdir()))
        raise UserError(
            f"data set '{name}' needs the folder '{layout.folder}' in '{root}', which "
            f"holds: {held or 'nothing'}",
            "Fetch the data set, or set --config.data.root to the folder above it.",
        )
    if not images.is_dir():
        raise UserError(
            f"data set '{name}' needs its images in '{images}', which is not a folder",
            "Unpack the images there.",
        )
    class_names, examples = read_split(split_file, layout.rename)
    every = [example for split in examples.values() for example in split]
    check_files(split_file, images, every)
    return Dataset(name, images, class_names, layout.template, **examples)

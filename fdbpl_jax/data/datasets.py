"""Data sets by name: read from disk and checked before anything runs."""

import os
from pathlib import Path

from fdbpl_jax.data import splits
from fdbpl_jax.data.aircraft import IMAGE_LISTS, read_aircraft
from fdbpl_jax.data.catalogue import CATALOGUE, Layout
from fdbpl_jax.data.class_names import check_class_names, warn_of_numbers
from fdbpl_jax.data.csv_list import read_csv
from fdbpl_jax.data.hf_folder import read_hf
from fdbpl_jax.data.imagenet import read_imagenet, read_numbered, read_test_only
from fdbpl_jax.data.split_file import check_files, read_split
from fdbpl_jax.data.types import Dataset, Example, first_few, prompt_name
from fdbpl_jax.errors import UserError, unknown_name

__all__ = ["Dataset", "Example", "load_dataset", "prompt_name"]

_FOLDERS = {
    "imagenet": read_imagenet,
    "test_only": read_test_only,
    "numbered": read_numbered,
}


def load_dataset(name: str, root: Path) -> Dataset:
    """Find a data set's files, and check all that can be checked without decoding.

    Args:
      name: a key of `CATALOGUE`, "folder" for a plain folder of class folders, or
        "csv" for a list of images, "hf" for a folder of Hugging Face `datasets`.
      root: the data root, which holds the data sets' folders; for "folder", the
        folder of class folders itself; likewise for "hf"; for "csv", the file. A
        leading "~" is expanded.

    Raises:
      UserError: for an unknown name, and for whatever is missing or contradictory on
        disk, naming what was looked for and where.
    """
    dataset = _open(name, root)
    check_class_names(dataset.root, dataset.class_names)
    warn_of_numbers(dataset.root, dataset.class_names)
    return dataset


def _open(name: str, root: Path) -> Dataset:
    if name not in (*CATALOGUE, "folder", "csv", "hf"):
        raise unknown_name("data set", name, [*CATALOGUE, "folder", "csv", "hf"])
    if name == "csv":
        return read_csv(root)
    root = Path(os.path.expanduser(root)).absolute()
    if not root.is_dir():
        raise UserError(
            f"data root '{root}' is not a folder (looking for data set '{name}')",
            "Set the data root (--config.data.root, or --data_root) to the folder that "
            "holds the data.",
        )
    if name == "hf":
        return read_hf(root)
    if name == "folder":
        return splits.split_folder(root)
    return _load(name, CATALOGUE[name], root)


def _load(name: str, layout: Layout, root: Path) -> Dataset:
    folder = root / layout.folder
    images, lists = folder / layout.images, folder / layout.lists
    if not folder.is_dir():
        content = first_few(sorted(path.name for path in root.iterdir()))
        raise UserError(
            f"data set '{name}' needs the folder '{layout.folder}' in '{root}', which "
            f"holds: {content or 'nothing'}",
            "Fetch the data set, or set the data root (--config.data.root, or "
            "--data_root) to the folder above it.",
        )
    if not images.is_dir():
        raise UserError(
            f"data set '{name}' needs its images in '{images}', which is not a folder",
            "Unpack the images there.",
        )
    if layout.kind in _FOLDERS:
        return _FOLDERS[layout.kind](name, layout, folder)
    if layout.kind == "aircraft":
        class_names, examples = read_aircraft(layout, folder)
        lists = folder / IMAGE_LISTS
    else:
        class_names, examples = read_split(lists, layout.class_name)
    check_files(lists, images, [e for split in examples.values() for e in split])
    return Dataset(name, images, class_names, layout.template, **examples)

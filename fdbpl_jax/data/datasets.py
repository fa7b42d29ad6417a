"""Data sets by name: read from disk and checked before anything runs."""

import os
from collections.abc import Callable
from pathlib import Path

from fdbpl_jax.data.aircraft import IMAGE_LISTS, read_aircraft
from fdbpl_jax.data.catalogue import CATALOGUE, Layout
from fdbpl_jax.data.class_names import check_class_names, warn_of_numbers
from fdbpl_jax.data.csv_list import read_csv
from fdbpl_jax.data.folder import split_folder
from fdbpl_jax.data.hf_folder import SAVED, read_hf
from fdbpl_jax.data.imagenet import read_imagenet, read_numbered, read_test_only
from fdbpl_jax.data.listed_files import check_files
from fdbpl_jax.data.listing import refuse_bytes
from fdbpl_jax.data.split_file import read_split
from fdbpl_jax.data.splits import TEMPLATE
from fdbpl_jax.data.types import Dataset, Example, first_few, prompt_name
from fdbpl_jax.errors import UserError, unknown_name

__all__ = ["Dataset", "Example", "load_dataset", "prompt_name"]

_Reader = Callable[[Path, str], Dataset]
# Forms of own data.
OWN: dict[str, _Reader] = {"folder": split_folder, "csv": read_csv, "hf": read_hf}
_ROOT = (
    "Set the data root (--config.data.root, or --data_root) to the folder that holds "
    "the data."
)
_FOLDERS = {
    "imagenet": read_imagenet,
    "test_only": read_test_only,
    "numbered": read_numbered,
}


def load_dataset(name: str, root: Path, template: str = TEMPLATE) -> Dataset:
    """Find a data set's files, and check all that can be checked without decoding.

    Args:
      name: a key of `CATALOGUE`. For own data: the path of a folder of class folders,
        of a list in a CSV file or of a folder of Hugging Face `datasets`, absolute or
        below the root; or one of `OWN`, of which the root itself is one.
      root: the data root, which holds the data sets' folders. A leading "~" is
        expanded.
      template: of own data, "{}" for the class.

    Raises:
      UserError: for an unknown name, and for whatever is missing or contradictory on
        disk, naming what was looked for and where.
    """
    dataset = _open(name, Path(os.path.abspath(os.path.expanduser(root))), template)
    check_class_names(dataset.root, dataset.class_names)
    warn_of_numbers(dataset.root, dataset.class_names)
    return dataset


def _open(name: str, root: Path, template: str) -> Dataset:
    if name not in CATALOGUE:
        place, read = _own(name, root)
        refuse_bytes(place.parent, [place.name])
        return read(place, template)
    if not root.is_dir():
        raise UserError(
            f"data root '{root}' is not a folder (looking for data set '{name}')", _ROOT
        )
    return _load(name, CATALOGUE[name], root)


def _own(name: str, root: Path) -> tuple[Path, _Reader]:
    """Where own data are, and what reads them."""
    if name in OWN:
        if name != "csv" and not root.is_dir():
            what = f"data root '{root}' is not a folder (looking for data set '{name}')"
            raise UserError(what, _ROOT)
        return root, OWN[name]
    place = Path(os.path.abspath(root / os.path.expanduser(name)))
    if not place.exists() and name == (root.stem if root.is_file() else root.name):
        place = root  # results and tables call it so
    if place.is_dir():
        saved = any((place / file).exists() for file in SAVED)
        return place, OWN["hf" if saved else "folder"]
    if place.exists():
        return place, OWN["csv"]
    error = unknown_name("data set", name, [*CATALOGUE, *OWN])
    raise UserError(f"{error.what}, and there is no '{place}'", error.do)


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

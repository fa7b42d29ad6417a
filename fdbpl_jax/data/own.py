"""All images of a user's own data, labelled or not, for a classifier of all classes.

Protocols keep images for a test and therefore need labels (`datasets.py`); here all is
for training but what the data state as "val" or "test".
"""

import os
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from fdbpl_jax.data.class_names import check_class_names, warn_of_numbers
from fdbpl_jax.data.csv_list import read_csv
from fdbpl_jax.data.folder import split_folder
from fdbpl_jax.data.hf_folder import SAVED, read_hf
from fdbpl_jax.data.listing import folder_names, images_below
from fdbpl_jax.data.parts import as_stated
from fdbpl_jax.data.splits import TEMPLATE
from fdbpl_jax.data.types import UNLABELLED, Dataset, Example, prompt_name
from fdbpl_jax.errors import UserError


def open_own(
    place: str, names: Sequence[str] = (), template: str = TEMPLATE
) -> Dataset:
    """Read class folders, a CSV list, a folder of `datasets`, or unlabelled images.

    Args:
      place: the path of the folder or list.
      names: of the classes, in order. With them images can be without a label: rows of
        a list with an empty one; in a folder all that are not in a folder called as a
        class. Empty: the labels of the data.
      template: the prompt of the data set, "{}" for the class.

    Raises:
      UserError: there is nothing, or no name for images without a label, or something
        is wrong with the data.
    """
    path = Path(os.path.abspath(os.path.expanduser(place)))
    if not path.exists():
        raise UserError(
            f"there is no '{path}'", "Give a folder of images, or a CSV list of them."
        )
    if path.is_file():
        dataset = read_csv(path, template, names, as_stated)
    elif any((path / file).exists() for file in SAVED):
        dataset = _saved(path, names, template)
    elif names:
        dataset = _named_folder(path, names, template)
    else:
        dataset = _class_folders(path, template)
    check_class_names(path, dataset.class_names)
    warn_of_numbers(path, dataset.class_names)
    return dataset


def _saved(path: Path, names: Sequence[str], template: str) -> Dataset:
    if names:
        raise UserError(
            f"'{path}' is a folder of `datasets`, which has the names of its classes",
            "Leave --classes out.",
        )
    return read_hf(path, template)


def _class_folders(path: Path, template: str) -> Dataset:
    if not folder_names(path) and images_below(path):
        raise UserError(
            f"'{path}' has images and no class folder",
            "Give the names of the classes, one per line of a text file: "
            "--classes=names.txt. Or sort the images into class folders.",
        )
    return split_folder(path, template, as_stated)


def _named_folder(path: Path, names: Sequence[str], template: str) -> Dataset:
    label_of = {prompt_name(name): label for label, name in enumerate(names)}

    def example(image: str) -> Example:
        folder = prompt_name(Path(image).parent.name)
        return Example(image, label_of.get(folder, UNLABELLED))

    train = tuple(example(image) for image in images_below(path))
    if not train:
        raise UserError(f"'{path}' has no image in it", "Put images there.")
    if labelled := sum(image.is_labelled for image in train):
        logging.info(
            "'%s': %d of %d images have the label of the folder that they are in",
            *(path, labelled, len(train)),
        )
    return Dataset(path.name, path, tuple(names), template, train, val=(), test=())

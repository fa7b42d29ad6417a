"""A data set of one's own as a folder of Hugging Face `datasets`.

What is in it: `hf_rows`; how it becomes files: `hf_export`.
"""

import os
from pathlib import Path

from fdbpl_jax.data.hf_export import SPLIT_FILE, export_images
from fdbpl_jax.data.split_file import check_files, read_split
from fdbpl_jax.data.splits import TEMPLATE
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.errors import UserError


def read_hf(
    folder: Path, template: str = TEMPLATE, image: str = "", label: str = ""
) -> Dataset:
    """Reads a folder that `save_to_disk` of Hugging Face `datasets` made.

    Its images are written out as files once, into the folder "fdbpl_jax_images" in it;
    see `export_images`, also for which split becomes which.

    Args:
      folder: of a `DatasetDict` or a `Dataset`.
      template: the prompt of the data set, "{}" for the class.
      image: the column of the images; empty: the only one there is.
      label: the column of the classes; empty: the only one there is.

    Returns:
      The data set "hf", with the classes in the order of their labels.

    Raises:
      UserError: as `export_images`, and if exported images are missing.
    """
    folder = Path(os.path.expanduser(folder)).absolute()
    images = export_images(folder, image, label)
    split_file = images / SPLIT_FILE
    class_names, parts = read_split(split_file, str)
    every = [example for part in parts.values() for example in part]
    try:
        check_files(split_file, images, every)
    except UserError as error:
        do = f"Remove the folder '{images}': the next run writes the images again."
        raise UserError(error.what, do) from error
    return Dataset("hf", images, class_names, template, **parts)

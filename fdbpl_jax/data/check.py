"""Faults of a data root: missing parts, wrong counts, files that are no images.

Every file is looked at by its first bytes, which tells an image from a text file or an
empty one at thousands of files a second; decoding each is slow and thorough.
"""

import dataclasses
from pathlib import Path

from absl import logging

from fdbpl_jax.data.catalogue import CATALOGUE, Counts
from fdbpl_jax.data.contents import copies
from fdbpl_jax.data.datasets import load_dataset
from fdbpl_jax.data.images import fault_of
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.data.split_file import SPLITS
from fdbpl_jax.data.types import Dataset, first_few
from fdbpl_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Finding:
    """The state of a data set on disk."""

    name: str
    there: bool  # its folder exists
    files: int  # that were looked at
    counts: Counts | None  # None: it could not be read
    problems: tuple[str, ...]  # sentences


def check_dataset(name: str, root: Path, decode: bool = False) -> Finding:
    """Look at all of a data set: lists, folders, counts and the head of every image.

    Nothing that is wrong with the data raises. `decode` decodes every image, too.

    Args:
      name, root: as of `load_dataset`.

    Raises:
      UserError: the root is no folder.
    """
    layout = CATALOGUE.get(name)
    there = layout is None or (root / layout.folder).is_dir()
    if layout and root.is_dir() and not there:
        images = root / layout.folder / layout.images
        where = f"images go into '{images}', with '{layout.lists}'"
        return Finding(name, False, 0, None, (f"not there: {where}",))
    try:
        dataset = load_dataset(name, root)
    except UserError as error:
        if not there:
            raise
        return Finding(name, True, 0, None, (str(error),))
    name, counts = dataset.name, _counts(dataset)
    problems = _differences(layout.published, counts) if layout else []
    paths = [e.path for split in SPLITS for e in getattr(dataset, split)]
    faults = {path: fault_of(dataset.root / path) for path in paths}
    if bad := [f"{path} ({fault})" for path, fault in faults.items() if fault]:
        what = f"{len(bad)} files are no images: {first_few(bad)}"
        problems.append(f"{what}. Fetch them again.")
    elif decode:
        source = SourceImages(dataset.root, memory=0)
        train, test = ([e.path for e in of] for of in (dataset.train, dataset.test))
        try:
            source.facts(paths)
            for warning in copies(source, train, source, test):
                logging.warning("%s: %s", name, warning)
        except UserError as error:
            problems.append(str(error))
    return Finding(name, True, len(paths), counts, tuple(problems))


def _counts(dataset: Dataset) -> Counts:
    sizes = [len(getattr(dataset, split)) for split in SPLITS]
    return Counts(len(dataset.class_names), *sizes)


def _differences(published: Counts, counts: Counts) -> list[str]:
    wrong = [
        f"{got:,} {what} where {want:,} are published"
        for what, got, want in zip(
            ("classes", "train images", "val images", "test images"),
            dataclasses.astuple(counts),
            dataclasses.astuple(published),
            strict=True,
        )
        if got != want
    ]
    return [f"another size than the published one: {', '.join(wrong)}"] if wrong else []

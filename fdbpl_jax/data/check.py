"""Faults of a data root: missing parts, wrong counts, files that are no images.

Every file is looked at by its first bytes, which tells an image from a text file or an
empty one at tens of thousands of files a second; decoding each is slow and thorough.
"""

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from fdbpl_jax.data.catalogue import CATALOGUE, Counts
from fdbpl_jax.data.datasets import load_dataset
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.data.split_file import SPLITS
from fdbpl_jax.data.types import Dataset, first_few
from fdbpl_jax.errors import UserError

_HEAD = 12  # bytes that tell the formats apart
_MAGIC = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\0",  # TIFF
    b"MM\0*",
    b"P5",
    b"P6",
)


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

    Raises:
      UserError: the root is no folder.
    """
    layout = CATALOGUE[name]
    folder = root / layout.folder
    there = folder.is_dir()
    if root.is_dir() and not there:
        where = f"images go into '{folder / layout.images}', with '{layout.lists}'"
        return Finding(name, False, 0, None, (f"not there: {where}",))
    try:
        dataset = load_dataset(name, root)
    except UserError as error:
        if not there:
            raise
        return Finding(name, True, 0, None, (str(error),))
    counts = _counts(dataset)
    problems = _differences(layout.published, counts)
    paths = [e.path for split in SPLITS for e in getattr(dataset, split)]
    no_images = _no_images(dataset.root, paths)
    if no_images:
        problems.append(
            f"{len(no_images)} files are no images: {first_few(no_images)}. Fetch them "
            "again."
        )
    elif decode:
        try:
            SourceImages(dataset.root, memory=0).facts(paths)
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


def _no_images(root: Path, paths: Iterable[str]) -> list[str]:
    """Those of the files that do not begin as images do, with what they are."""
    bad = []
    for path in paths:
        # os.open: half the time of a file object, and there may be a million.
        try:
            file = os.open(root / path, os.O_RDONLY)
            try:
                head = os.read(file, _HEAD)
            finally:
                os.close(file)
        except OSError as error:
            bad.append(f"{path} ({error.strerror or error})")
            continue
        webp = head.startswith(b"RIFF") and head.endswith(b"WEBP")
        if not webp and not head.startswith(_MAGIC):
            bad.append(f"{path} ({'unknown format' if head else 'empty'})")
    return bad

"""Stored labels in the format of the paper's authors: one `torch.save` file per image.

A file contains three tensors: the M regions as fractions of the image, which of them
are mirrored, and the K stored classes of each with their probabilities.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

Record = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # of a region, or of many


def write_records(folder: Path, images: int, values: dict[str, np.ndarray]) -> None:
    """Write `images` files.

    Args:
      folder: made if it is missing.
      images: N.
      values: of one image, the same for all: "coords" [M 4] float32, "flip" [M],
        "topk" [M 2 K] float32, the classes and then their probabilities.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = [torch.from_numpy(values[name]) for name in ("coords", "flip", "topk")]
    for image in range(images):
        torch.save(record, folder / _name(image))


def read_region(folder: Path, image: int, slot: int) -> Record:
    """Read one stored region, which reads the complete file of its image."""
    coords, flip, topk = _load(folder, image)
    return coords[slot], flip[slot], topk[slot]


def read_regions(
    folder: Path, images: Sequence[int], slots: Sequence[int]
) -> tuple[torch.Tensor, ...]:
    """Read regions (images[i], slots[i]) one after the other and stack them."""
    pairs = zip(images, slots, strict=True)
    found = [read_region(folder, image, slot) for image, slot in pairs]
    return tuple(map(torch.stack, zip(*found, strict=True)))


def epoch(
    folder: Path, images: int, regions: int, batch: int, seed: int
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Read a random region of every image, in batches; drop an incomplete last one."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(images)[: images // batch * batch].reshape(-1, batch)
    for rows in order:
        yield read_regions(folder, rows, rng.integers(regions, size=batch))


class RegionFiles(Dataset[Record]):
    """A data set with a random stored region per image."""

    def __init__(self, folder: Path, images: int) -> None:
        self.folder = folder
        self.images = images

    def __len__(self) -> int:
        """Images."""
        return self.images

    def __getitem__(self, image: int) -> Record:
        """Read a random region of an image."""
        coords, flip, topk = _load(self.folder, image)
        slot = int(torch.randint(len(flip), ()))
        return coords[slot], flip[slot], topk[slot]


def loader(folder: Path, images: int, batch: int, workers: int) -> DataLoader:
    """Return a loader of the same epoch, with workers that persist between epochs."""
    return DataLoader(
        RegionFiles(folder, images),
        batch_size=batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        # A fork of a process in which JAX has threads may hang.
        multiprocessing_context="spawn" if workers else None,
    )


def _load(folder: Path, image: int) -> list[torch.Tensor]:
    return torch.load(folder / _name(image), weights_only=True)  # PyTorch's default


def _name(image: int) -> str:
    return f"{image:06d}.tar"

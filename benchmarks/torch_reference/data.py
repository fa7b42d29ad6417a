"""Images in a `DataLoader`: fresh views, or stored regions with a label file per image.

A label file has the format of the released generator: `[coords, flip, top]`, saved by
`torch.save`, with coords `[M 4]` (top, left, height, width as fractions of the image),
flip `[M]`, and top `[M 2 K]`, the index and the logit of the K most probable classes.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from fdbpl_jax.clip.image import ImageSettings
from fdbpl_jax.config import CropConfig
from fdbpl_jax.ril.regions import crop_region, draw_region

Item = tuple[torch.Tensor, torch.Tensor]  # pixels [3 S S], and a label


class Views(Dataset):
    """A data set of random views with their classes."""

    def __init__(
        self, files: Sequence[Path], labels: Sequence[int], image: ImageSettings
    ) -> None:
        self.files, self.labels, self.image = files, labels, image

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Item:
        image = Image.open(self.files[index]).convert("RGB")
        seed = int(torch.randint(2**62, ()))  # torch seeds each worker differently
        rng = np.random.default_rng(seed)
        box, flip = draw_region(CropConfig(), rng, (image.height, image.width))
        cut = crop_region(image, box, flip, self.image.size)
        return _normalised(cut, self.image), torch.tensor(self.labels[index])


class StoredRegions(Dataset):
    """A data set of random stored regions with their labels of C classes."""

    def __init__(
        self,
        files: Sequence[Path],
        label_files: Sequence[Path],
        classes: int,
        image: ImageSettings,
    ) -> None:
        self.files, self.label_files = files, label_files
        self.classes, self.image = classes, image

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Item:
        image = Image.open(self.files[index]).convert("RGB")
        coords, flip, top = torch.load(self.label_files[index], weights_only=True)
        slot = int(torch.randint(len(coords), ()))
        cut = replay(image, coords[slot], bool(flip[slot]), self.image.size)
        label = dense_label(top[slot], self.classes)
        return _normalised(cut, self.image), label


def save_labels(
    file: Path,
    box: np.ndarray,
    flip: np.ndarray,
    index: np.ndarray,
    logit: np.ndarray,
    size: tuple[int, int],
) -> None:
    """Write the label file of an image of `size` (height, width)."""
    coords = torch.from_numpy((box / np.array([*size, *size])).astype(np.float32))
    top = np.stack([index, logit], axis=1).astype(np.float32)
    # A copy: arrays read from a table are read-only, which torch warns of.
    torch.save([coords, torch.tensor(flip), torch.from_numpy(top)], file)


def replay(
    image: Image.Image, coords: torch.Tensor, flip: bool, size: int
) -> np.ndarray:
    """Return the pixels `[S S 3]` of a stored region."""
    height, width = image.height, image.width
    scale = torch.tensor([height, width, height, width])
    box = (coords * scale).round().to(torch.int32).numpy().astype(np.uint16)
    return crop_region(image, box, flip, size)


def dense_label(top: torch.Tensor, classes: int) -> torch.Tensor:
    """Return class probabilities: a softmax over the stored logits, zero elsewhere."""
    index, logit = top[0].long(), top[1]
    return torch.zeros(classes).scatter(0, index, logit.softmax(-1))


def loader(dataset: Dataset, batch_size: int, workers: int) -> DataLoader:
    """Return a loader of shuffled complete batches, prefetched by worker processes."""
    return DataLoader(
        dataset,
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
        # The parent process has JAX threads, so a fork may deadlock.
        multiprocessing_context="spawn" if workers else None,
    )


def _normalised(pixels: np.ndarray, image: ImageSettings) -> torch.Tensor:
    mean, std = (torch.tensor(x)[:, None, None] for x in (image.mean, image.std))
    scaled = torch.from_numpy(pixels.transpose(2, 0, 1).copy()).float() / 255
    return (scaled - mean) / std

"""Soft labels of regions in plain PyTorch, as an experienced user would write it.

Worker processes decode and cut with Pillow, the teacher runs on their batches, and each
image's labels are written to a separate file.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset


@dataclasses.dataclass(frozen=True)
class Regions:
    """Regions to cut: for each of N files M boxes [N M 4] and flips [N M]."""

    files: Sequence[Path]
    box: np.ndarray  # top, left, height, width in pixels
    flip: np.ndarray


class Crops(Dataset[torch.Tensor]):
    """The regions of each image, uint8 [M 3 S S]."""

    def __init__(self, regions: Regions, size: int) -> None:
        self.regions = regions
        self.size = size

    def __len__(self) -> int:
        """Images."""
        return len(self.regions.files)

    def __getitem__(self, row: int) -> torch.Tensor:
        """Decode an image and cut all its regions."""
        with Image.open(self.regions.files[row]) as file:
            image = file.convert("RGB")
        pixels = [
            self._cut(image, box, flip)
            for box, flip in zip(
                self.regions.box[row], self.regions.flip[row], strict=True
            )
        ]
        return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()

    def _cut(self, image: Image.Image, box: np.ndarray, flip: bool) -> np.ndarray:
        top, left, height, width = (int(value) for value in box)
        cut = image.crop((left, top, left + width, top + height))
        cut = cut.resize((self.size, self.size), Image.Resampling.BICUBIC)
        if flip:
            cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.asarray(cut)


def crop_loader(regions: Regions, size: int, workers: int) -> DataLoader:
    """Return a loader of the regions per image; workers persist between runs."""
    return DataLoader(
        Crops(regions, size),
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        # A fork of a process in which JAX has threads may hang.
        multiprocessing_context="spawn" if workers else None,
    )


class Labeller:
    """The teacher's top-K labels of regions.

    Args:
      encode: projected features of normalised pixels.
      text: [C D], its L2-normalised text features.
      scale: exp(logit_scale).
      keep: K.
      batch: regions at once.
      mean, std: of the pixels' channels.
    """

    def __init__(self, encode, text, scale, keep, batch, mean, std) -> None:
        self.encode = encode
        self.text = text
        self.scale = scale
        self.keep = keep
        self.batch = batch
        device = text.device
        self.mean = torch.tensor(mean, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(std, device=device).view(1, 3, 1, 1)

    @torch.inference_mode()
    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Predict classes and probabilities [M 2 K] from uint8 pixels [M 3 S S]."""
        return torch.cat([self._label(part) for part in pixels.split(self.batch)]).cpu()

    def _label(self, pixels: torch.Tensor) -> torch.Tensor:
        device = self.text.device
        pixels = pixels.to(device, non_blocking=True).float() / 255
        with torch.autocast(device.type, torch.bfloat16, device.type == "cuda"):
            feature = self.encode((pixels - self.mean) / self.std)
        feature = functional.normalize(feature.float(), dim=-1)
        probability = (self.scale * feature @ self.text.T).softmax(-1)
        prob, index = probability.topk(self.keep)
        return torch.stack([index.float(), prob], 1)


def build(folder: Path, regions: Regions, crops: DataLoader, label: Labeller) -> None:
    """Label all regions and write one file per image."""
    folder.mkdir(parents=True)
    for row, pixels in enumerate(crops):
        coords = torch.from_numpy(regions.box[row].astype(np.float32))
        flip = torch.from_numpy(regions.flip[row])
        torch.save([coords, flip, label(pixels)], folder / f"{row:06d}.tar")

"""JPEG images that cost as much to decode and cut as photographs."""

import string
from pathlib import Path

import numpy as np
from PIL import Image

from fdbpl_jax.data.types import Dataset, Example

_QUALITY = 90  # of the JPEG: some 100 kB at 375 × 500, as ImageNet's files have
_COARSE = 24  # pixels of a patch of constant brightness, before smoothing
_GRAIN = 12.0  # standard deviation of the noise, out of 255


def write_pictures(
    root: Path, images: int, size: tuple[int, int], classes: int, seed: int
) -> Dataset:
    """Write images into class folders.

    Args:
      root: an empty folder.
      images: N.
      size: height and width in pixels.
      classes: C; their names are single letters, which every vocabulary contains.
      seed: of the pixels.
    """
    rng = np.random.default_rng(seed)
    names = tuple(map(_letters, range(classes)))
    examples = []
    for number in range(images):
        label = number % classes
        path = f"{names[label]}/{number:06d}.jpg"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        _picture(rng, size).save(root / path, quality=_QUALITY)
        examples.append(Example(path, label))
    return Dataset("pictures", root, names, "a photo of a {}.", tuple(examples), (), ())


def _picture(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Draw smooth patches with noise added."""
    height, width = size
    patches = (height // _COARSE + 1, width // _COARSE + 1, 3)
    coarse = Image.fromarray(rng.integers(0, 256, patches, np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    grain = _GRAIN * rng.standard_normal(smooth.shape, np.float32)
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def _letters(number: int) -> str:
    letters = string.ascii_lowercase
    return "".join(letters[number // 26**place % 26] for place in (2, 1, 0))

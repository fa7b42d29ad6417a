"""Regions: random boxes of an image, each with a random flip, drawn and cut.

The rule is torchvision's RandomResizedCrop. Every draw takes the same number of
uniforms, whatever its result, so slot j of an image starts at a known place of the
image's random stream and can be drawn without the slots before it.
"""

import hashlib
import math

import numpy as np
from jaxtyping import Bool, Float, UInt8, UInt16
from PIL import Image

from fdbpl_jax.config import CropConfig
from fdbpl_jax.errors import UserError

_TRIES = 10  # torchvision's; then the centre
_WORDS = 2 * _TRIES + 4  # uniforms per slot: two per try, position, flip, a spare
_PHILOX_BLOCK = 4  # words per step of Philox's counter: `_WORDS` is a multiple of it


def draw_regions(
    crop: CropConfig, seed: int, image_hash: str, size: tuple[int, int], slots: range
) -> tuple[UInt16[np.ndarray, "m 4"], Bool[np.ndarray, " m"]]:
    """Draw the regions in `slots` of one image.

    A slot's region follows from (crop, seed, image content, slot) alone: not from other
    slots, other images or their order. A box is top, left, height and width in pixels.

    Args:
      crop, seed: the rule, and which of its draws.
      image_hash: names the image's content.
      size: height and width of the upright image, in pixels; at most 65535 each.
      slots: a range of step 1.
    """
    key = hashlib.sha256(f"region\0{seed}\0{image_hash}".encode()).digest()
    stream = np.random.Philox(key=int.from_bytes(key[:16]))
    stream.advance(slots.start * _WORDS // _PHILOX_BLOCK)
    uniforms = np.random.Generator(stream).random((len(slots), _WORDS))
    return _regions(crop, uniforms, size)


def check_crop(crop: CropConfig) -> None:
    """Refuse a crop that no region can be drawn by, naming the value."""
    low, high = crop.scale
    narrow, wide = crop.ratio
    allowed = {
        "scale": (0 < low <= high <= 1, "0 < low <= high <= 1"),
        "ratio": (0 < narrow <= wide < math.inf, "0 < low <= high, finite"),
        "flip": (0 <= crop.flip <= 1, "0 to 1"),
    }
    for name, (holds, what) in allowed.items():
        if not holds:
            value = getattr(crop, name)
            raise UserError(f"ril.crop.{name} is {value}", f"Allowed: {what}.")


def draw_region(
    crop: CropConfig, rng: np.random.Generator, size: tuple[int, int]
) -> tuple[UInt16[np.ndarray, " 4"], bool]:
    """Draw one region of an image of `size` (height, width) by the same rule."""
    box, flip = _regions(crop, rng.random((1, _WORDS)), size)
    return box[0], bool(flip[0])


def crop_region(
    image: Image.Image, box: UInt16[np.ndarray, " 4"], flip: bool, size: int
) -> UInt8[np.ndarray, "S S 3"]:
    """Cut a region out of an RGB image: crop, bicubic resize to `size`, mirror.

    Pixels outside the box never count, as with torchvision's `resized_crop`.
    """
    top, left, height, width = (int(value) for value in box)
    cut = image.crop((left, top, left + width, top + height))
    cut = cut.resize((size, size), Image.Resampling.BICUBIC)
    if flip:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(cut)


def _regions(
    crop: CropConfig, uniforms: Float[np.ndarray, "m words"], size: tuple[int, int]
) -> tuple[UInt16[np.ndarray, "m 4"], Bool[np.ndarray, " m"]]:
    image_height, image_width = size
    shape = uniforms[:, : 2 * _TRIES].reshape(-1, _TRIES, 2)
    low, high = crop.scale
    area = image_height * image_width * (low + (high - low) * shape[..., 0])
    low, high = (math.log(bound) for bound in crop.ratio)
    ratio = np.exp(low + (high - low) * shape[..., 1])
    height, width = np.rint(np.sqrt(area / ratio)), np.rint(np.sqrt(area * ratio))
    fits = (height > 0) & (height <= image_height)
    fits &= (width > 0) & (width <= image_width)
    first = np.arange(len(fits)), np.argmax(fits, axis=1)
    height, width = height[first], width[first]
    top = np.floor(uniforms[:, 2 * _TRIES] * (image_height - height + 1))
    left = np.floor(uniforms[:, 2 * _TRIES + 1] * (image_width - width + 1))
    box = np.stack([top, left, height, width], axis=1)
    box[~fits.any(axis=1)] = _centre(crop, size)
    return box.astype(np.uint16), uniforms[:, 2 * _TRIES + 2] < crop.flip


def _centre(crop: CropConfig, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """torchvision's fallback: the largest centred box of an allowed ratio."""
    image_height, image_width = height, width = size
    low, high = crop.ratio
    if image_width < low * image_height:
        height = max(1, min(round(image_width / low), image_height))
    elif image_width > high * image_height:
        width = max(1, min(round(image_height * high), image_width))
    top, left = (image_height - height) // 2, (image_width - width) // 2
    return top, left, height, width

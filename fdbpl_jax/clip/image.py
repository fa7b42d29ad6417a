"""Image preparation for the image tower, as in `CLIPImageProcessor`."""

import dataclasses
import reprlib
from typing import Any

import jax.numpy as jnp
import numpy as np
import PIL.Image
from jaxtyping import Array, Float, UInt8

from fdbpl_jax.errors import UserError

# Per-channel statistics of the images OpenAI's CLIP was trained on, in [0, 1].
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)
# The only pre-processing that is implemented; a file with another is refused.
_FIXED = {
    "do_resize": True,
    "do_center_crop": True,
    "do_rescale": True,
    "do_normalize": True,
    "resample": 3,  # bicubic
}

# An image more times longer than wide is cut before it is resized: whole it could take
# a thousand times the memory of an ordinary one.
_THIN = 8


@dataclasses.dataclass(frozen=True)
class ImageSettings:
    """Input format of an image tower."""

    size: int  # pixels, square
    mean: tuple[float, float, float] = _MEAN
    std: tuple[float, float, float] = _STD
    squash: bool = False  # to the square, instead of cutting its centre


def parse_image_settings(hf: dict[str, Any], image_size: int) -> ImageSettings:
    """Read the content of a Hugging Face `preprocessor_config.json`.

    Fields left out take OpenAI's values; other pre-processing than is implemented here
    is a UserError.
    """
    square = {"height": image_size, "width": image_size}
    sizes = (image_size, {"shortest_edge": image_size}, square)
    crops = (image_size, square)
    size = _without_nulls(hf.get("size", image_size))
    crop = _without_nulls(hf.get("crop_size", image_size))
    factor = hf.get("rescale_factor", 1 / 255)
    rescaled = _is_number(factor) and abs(factor * 255 - 1) < 1e-6
    wrong = [name for name, value in _FIXED.items() if hf.get(name, value) != value]
    wrong += ["size"] * (size not in sizes) + ["crop_size"] * (crop not in crops)
    wrong += ["rescale_factor"] * (not rescaled)
    if wrong:
        name = wrong[0]
        only = _FIXED | {"rescale_factor": "1/255", "size": sizes[1]}
        raise UserError(
            f"preprocessor_config.json has {name} {reprlib.repr(hf[name])}, and only "
            f"{only.get(name, square)} is implemented for this model of "
            f"{image_size} pixels",
            "Correct the file, or use a model with CLIP's own pre-processing.",
        )
    std = _channels(hf, "image_std", _STD)
    if min(std) <= 0:
        what = f"image_std in preprocessor_config.json is {hf['image_std']!r}"
        raise UserError(f"{what}, and must be above 0", "Correct the file.")
    mean = _channels(hf, "image_mean", _MEAN)
    return ImageSettings(image_size, mean, std, squash=size == square)


def to_hf_preprocessor(settings: ImageSettings) -> dict[str, Any]:
    """Write the `preprocessor_config.json` that is read back as `settings`."""
    square = {"height": settings.size, "width": settings.size}
    return {
        "image_processor_type": "CLIPImageProcessor",
        **_FIXED,
        "size": square if settings.squash else {"shortest_edge": settings.size},
        "crop_size": square,
        "rescale_factor": 1 / 255,
        "do_convert_rgb": True,
        "image_mean": list(settings.mean),
        "image_std": list(settings.std),
    }


def preprocess(
    image: PIL.Image.Image, settings: ImageSettings
) -> UInt8[np.ndarray, "S S 3"]:
    """Resize an image's shortest edge to the size, bicubic, and cut the centre square.

    The image is RGB; a smaller one is enlarged, and with `squash` all of it is taken.
    The pixels, 0 to 255, are those of torchvision's `Resize` and `CenterCrop`, with
    which published accuracies are measured. `CLIPImageProcessor` cuts one pixel further
    left or up where the long side minus the size is 3, 7, 11, …
    """
    size, bicubic = settings.size, PIL.Image.Resampling.BICUBIC
    if settings.squash:
        return np.asarray(image.resize((size, size), bicubic))
    width, height = image.size
    short = min(width, height)
    # Rounded down, as torchvision and transformers do.
    new_width, new_height = size * width // short, size * height // short
    # `round` takes halves to the even number, as torchvision does.
    left, top = round((new_width - size) / 2), round((new_height - size) / 2)
    if max(new_width, new_height) > _THIN * size:
        scale = width / new_width, height / new_height
        return _cut_first(image, (left, top), scale, size)
    resized = image.resize((new_width, new_height), bicubic)
    return np.asarray(resized.crop((left, top, left + size, top + size)))


def _cut_first(
    image: PIL.Image.Image,
    corner: tuple[int, int],
    scale: tuple[float, float],
    size: int,
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """Cut the square at a corner of the resized image, without resizing all of it.

    `scale` is pixels of the image per pixel of the resized one, across and down. The
    result is that of the long way, but for rounding and for where Pillow cuts off an
    overshoot.
    """
    left, top = (at * by for at, by in zip(corner, scale, strict=True))
    box = left, top, left + size * scale[0], top + size * scale[1]
    return np.asarray(image.resize((size, size), PIL.Image.Resampling.BICUBIC, box))


def normalise(
    settings: ImageSettings, pixels: UInt8[Array, "B S S 3"]
) -> Float[Array, "B S S 3"]:
    """Normalise pixels of 0 to 255 for the tower, float32; to be compiled with it."""
    mean = jnp.asarray(settings.mean, jnp.float32)[None, None, None]
    std = jnp.asarray(settings.std, jnp.float32)[None, None, None]
    return (pixels.astype(jnp.float32) / 255 - mean) / std


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {edge: size for edge, size in value.items() if size is not None}
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and -1e6 < value < 1e6  # nor NaN


def _channels(
    hf: dict[str, Any], name: str, default: tuple[float, float, float]
) -> tuple[float, float, float]:
    value = hf.get(name, default)
    if not isinstance(value, list | tuple) or [*map(_is_number, value)] != [True] * 3:
        what = f"{name} in preprocessor_config.json is {reprlib.repr(value)}"
        raise UserError(f"{what}, not three numbers", "Correct the file.")
    red, green, blue = map(float, value)
    return red, green, blue

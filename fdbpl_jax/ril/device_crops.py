"""Regions cut on the device: an image is uploaded once for all of its regions.

Crop, bicubic resize and flip are two small matrices applied to the image (as in
Pillow's resampling): one weights its columns, one its rows. Images are padded to a few
sizes, so that few programs are compiled.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8, UInt16
from PIL import Image

from fdbpl_jax.ril.regions import crop_region

_SIDES = (256, 384, 512, 768, 1024, 1536, 2048)  # padded sides, in pixels
_TOGETHER = 32  # regions cut at a time: each needs a column-weighted image


def cut_image(
    image: Image.Image,
    box: UInt16[np.ndarray, "M 4"],
    flip: Bool[np.ndarray, " M"],
    size: int,
) -> UInt8[Array, "M S S 3"]:
    """Cut all regions of an RGB image on the device, within one grey level of Pillow.

    A box is top, left, height and width in pixels. Images with a side of more than 2048
    pixels are cut by Pillow.
    """
    if max(image.size) > _SIDES[-1]:
        regions = zip(box, flip, strict=True)
        cut = [crop_region(image, b, bool(f), size) for b, f in regions]
        return jax.device_put(np.stack(cut))
    width, height = (min(s for s in _SIDES if s >= side) for side in image.size)
    padded = np.zeros((height, width, 3), np.uint8)
    padded[: image.height, : image.width] = np.asarray(image)
    return _cut(size, *jax.device_put((padded, box.astype(np.int32), flip)))


@functools.partial(jax.jit, static_argnames="size")
def _cut(
    size: int,
    image: UInt8[Array, "H W 3"],
    box: Int[Array, "M 4"],
    flip: Bool[Array, " M"],
) -> UInt8[Array, "M S S 3"]:
    pixels = image.astype(jnp.float32)
    # A GPU would multiply in TF32: a quarter of a grey level.
    product = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)

    def cut(region: tuple[Int[Array, " 4"], Bool[Array, ""]]) -> UInt8[Array, "S S 3"]:
        (top, left, height, width), mirrored = region
        columns = _weights(left, width, image.shape[1], size)
        columns = jnp.where(mirrored, columns[::-1], columns)
        rows = _weights(top, height, image.shape[0], size)
        # Pillow goes along the rows first, and rounds after either pass.
        narrow = _rounded(product("hwc,sw->hsc", pixels, columns))
        return _rounded(product("hsc,th->tsc", narrow, rows)).astype(jnp.uint8)

    return jax.lax.map(cut, (box, flip), batch_size=_TOGETHER)


def _weights(
    first: Int[Array, ""], length: Int[Array, ""], pixels: int, size: int
) -> Float[Array, "S pixels"]:
    """Weigh the source pixels in each of the `size` pixels of a box's side.

    Catmull-Rom's cubic, stretched where the side shrinks; zero outside the box, and
    scaled to sum to 1 inside it.
    """
    scale = length / size
    stretch = jnp.maximum(scale, 1.0)
    centre = (jnp.arange(size) + 0.5) * scale
    place = jnp.arange(pixels) - first
    distance = (place[None] + 0.5 - centre[:, None]) / stretch
    # Pillow's bicubic kernel, a = -1/2 (Keys, 1981), reaches two pixels to either side.
    x = jnp.abs(distance)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    cubic = jnp.where(x < 1, near, jnp.where(x < 2, far, 0.0))
    weight = jnp.where((place >= 0)[None] & (place < length)[None], cubic, 0.0)
    return weight / weight.sum(axis=1, keepdims=True)


def _rounded(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.clip(jnp.floor(x + 0.5), 0, 255)


@functools.partial(jax.jit, static_argnames="batch")
def take_batch(
    images: tuple[UInt8[Array, "M S S 3"], ...], first: Int[Array, ""], batch: int
) -> UInt8[Array, "B S S 3"]:
    """Take `batch` consecutive regions from `first` on, of images laid end to end."""
    return jax.lax.dynamic_slice_in_dim(jnp.concatenate(images), first, batch)

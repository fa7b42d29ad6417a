"""Training data of the pair: a pool of pictures and a pool of captions."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from fdbpl_jax.shapes import render, world
from tools.pair import captions

CONDITIONS = tuple(
    world.Condition(*bits) for bits in itertools.product((False, True), repeat=2)
)
NOTHING = len(world.looks())  # the index of "no object", after all the looks
_SAID = (0.3, 0.25, 0.25, 0.2)  # how often captions speak of each of CONDITIONS
_CROP_AREA = (0.08, 1.0)
_CROP_RATIO = (3 / 4, 4 / 3)


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Painted scenes: `pixels` uint8 `[N H W 3]`, `look` int32 `[N]`."""

    pixels: np.ndarray
    look: np.ndarray


def draw_pictures(per_look: int, seed: int) -> Pictures:
    """`per_look` scenes of every look and of nothing, never a data set's.

    Cast and noise come later, anew each time that a scene is used.
    """
    everything = [*world.looks(), None]
    pixels = [
        render.paint_scene(
            look, render.generator("pretraining", seed, look and look.name, i)
        )
        .clip(0, 255)
        .astype(np.uint8)
        for look in everything
        for i in range(per_look)
    ]
    index = np.repeat(np.arange(len(everything), dtype=np.int32), per_look)
    return Pictures(np.stack(pixels), index)


@functools.cache
def look_before() -> Int[np.ndarray, "4 145"]:
    """The look index of a photo that, under each of `CONDITIONS`, shows each look."""
    everything = world.looks()
    index = {look: i for i, look in enumerate(everything)}
    # A condition undoes itself.
    before = [[index[c.look(look)] for look in everything] for c in CONDITIONS]
    return np.array([[*row, NOTHING] for row in before], np.int32)


def draw_batch(
    rng: np.random.Generator, pictures: Pictures, shown: Int[np.ndarray, " B"]
) -> tuple[UInt8[np.ndarray, "B H W 3"], Int[np.ndarray, " B"]]:
    """Photos, and the conditions under which they look as `shown` asks."""
    condition = rng.integers(len(CONDITIONS), size=len(shown))
    before = look_before()[condition, shown]
    per_look = len(pictures.look) // (NOTHING + 1)  # in the order of the looks
    picked = before * per_look + rng.integers(per_look, size=len(shown))
    return pictures.pixels[picked], condition


def draw_captions(per_look: int, seed: int) -> list[list[str]]:
    """`per_look` captions that fit a picture of each look, and of nothing.

    A caption names another class under another condition as often as it may: what it
    fits is what the picture shows.
    """
    rng = render.generator("captions", seed)
    everything, before = world.looks(), look_before()
    drawn: list[list[str]] = []
    for shown in range(NOTHING):
        fitting = []
        for _ in range(per_look):
            c = rng.choice(len(CONDITIONS), p=_SAID)
            named = everything[before[c, shown]]
            fitting.append(captions.caption(named, CONDITIONS[c], rng))
        drawn.append(fitting)
    named = rng.integers(NOTHING, size=per_look)
    drawn.append([captions.caption_of_nothing(everything[i], rng) for i in named])
    return drawn


def augment(
    pixels: UInt8[Array, "B H W 3"],
    condition: Int[Array, " B"],
    key: PRNGKeyArray,
    uncut: Float[Array, ""],
    size: int,
) -> Float[Array, "B S S 3"]:
    """Scenes as photographed under a condition, many of them cropped at random.

    Args:
      pixels: of painted scenes.
      condition: of each, an index into `CONDITIONS`.
      key: of noise and crops.
      uncut: share of the pictures that stay uncut.
      size: pixels of the result.

    Returns: pixel values 0 to 255.
    """
    cast_key, noise_key, crop_key = jax.random.split(key, 3)
    cast = jax.random.uniform(cast_key, (len(pixels), 1, 1, 3), minval=-1, maxval=1)
    noise = jax.random.normal(noise_key, pixels.shape)
    photos = pixels + render.COLOUR_CAST * cast + render.PIXEL_NOISE * noise
    changed = jax.vmap(_change)(jnp.clip(photos, 0, 255), condition)
    crop = functools.partial(_random_crop, uncut=uncut, size=size)
    return jax.vmap(crop)(changed, jax.random.split(crop_key, len(pixels)))


def _change(
    image: Float[Array, "H W 3"], condition: Int[Array, ""]
) -> Float[Array, "H W 3"]:
    """`Condition.pixels` for an index into `CONDITIONS`, in the order of its fields."""
    negative, infrared = (condition >> i & 1 for i in (1, 0))
    image = jnp.where(infrared, image[:, :, ::-1], image)
    return jnp.where(negative, 255 - image, image)


def _random_crop(
    image: Float[Array, "H W 3"], key: PRNGKeyArray, uncut: Float[Array, ""], size: int
) -> Float[Array, "S S 3"]:
    """The whole picture or a random box of it, resized to `size`."""
    side = image.shape[0]
    uncut_key, area_key, ratio_key, place_key = jax.random.split(key, 4)
    area = jax.random.uniform(area_key, minval=_CROP_AREA[0], maxval=_CROP_AREA[1])
    log_ratio = jax.random.uniform(
        ratio_key, minval=np.log(_CROP_RATIO[0]), maxval=np.log(_CROP_RATIO[1])
    )
    stretch = jnp.exp(jnp.stack([-log_ratio, log_ratio]) / 2)
    extent = jnp.minimum(side * jnp.sqrt(area) * stretch, side)
    extent = jnp.where(jax.random.bernoulli(uncut_key, uncut), side, extent)
    corner = jax.random.uniform(place_key, (2,)) * (side - extent)
    scale = size / extent
    return jax.image.scale_and_translate(
        image, (size, size, 3), (0, 1), scale, -corner * scale, "cubic", antialias=True
    )

"""What the pair is trained on: a pool of pictures and a pool of captions."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from fdbpl_jax.shapes import captions, render, world

CONDITIONS = tuple(
    world.Condition(*bits) for bits in itertools.product((False, True), repeat=4)
)
NOTHING = len(world.looks())  # the index of "no object", after all the looks
_CROP_AREA = (0.08, 1.0)
_CROP_RATIO = (3 / 4, 4 / 3)


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Rendered pictures: `pixels` uint8 `[N H W 3]`, `look` int32 `[N]`."""

    pixels: np.ndarray
    look: np.ndarray


def draw_pictures(per_look: int, seed: int) -> Pictures:
    """`per_look` ordinary photos of every look and of nothing, never a data set's."""
    everything = [*world.looks(), None]
    pixels = [
        render.draw_scene(
            look, render.generator("pretraining", seed, look and look.name, i)
        )
        for look in everything
        for i in range(per_look)
    ]
    index = np.repeat(np.arange(len(everything), dtype=np.int32), per_look)
    return Pictures(np.stack(pixels), index)


def look_after() -> Int[np.ndarray, "16 145"]:
    """The look index that a picture of each look has under each of `CONDITIONS`."""
    everything = world.looks()
    index = {look: i for i, look in enumerate(everything)}
    return np.array(
        [[index[c.look(look)] for look in everything] + [NOTHING] for c in CONDITIONS],
        np.int32,
    )


def draw_captions(per_look: int, seed: int) -> list[list[str]]:
    """`per_look` captions that fit a picture of each look, and of nothing.

    A caption names another class under another condition as often as it may: what it
    fits is what the picture shows.
    """
    rng = render.generator("captions", seed)
    everything, after = world.looks(), look_after()
    drawn: list[list[str]] = []
    for shown in range(NOTHING):
        fitting = []
        for _ in range(per_look):
            c = _draw_condition(rng)
            named = int(np.flatnonzero(after[c] == shown)[0])
            fitting.append(captions.caption(everything[named], CONDITIONS[c], rng))
        drawn.append(fitting)
    named = rng.integers(NOTHING, size=per_look)
    drawn.append([captions.caption_of_nothing(everything[i], rng) for i in named])
    return drawn


def _draw_condition(rng: np.random.Generator) -> int:
    """An index into `CONDITIONS`: none, one or two changes at once."""
    changes = int(rng.choice(3, p=(0.3, 0.5, 0.2)))
    bits = rng.choice(4, size=changes, replace=False)
    return int(sum(8 >> bit for bit in bits))


def augment(
    pixels: UInt8[Array, "B H W 3"],
    look: Int[Array, "B"],
    key: PRNGKeyArray,
    whole: Float[Array, ""],
    size: int,
) -> tuple[Float[Array, "B S S 3"], Int[Array, "B"]]:
    """Pictures under random conditions, many as random crops, and what they show.

    Args:
      pixels: of ordinary photos.
      look: what each shows, an index into `world.looks()` or `NOTHING`.
      key: of all that is random here.
      whole: share of the pictures that stay uncut.
      size: pixels of the result.

    Returns: pixel values 0 to 255 at `size`, and the look index after the condition.
    """
    condition_key, crop_key = jax.random.split(key)
    condition = jax.random.randint(condition_key, look.shape, 0, len(CONDITIONS))
    changed = jax.vmap(_change)(pixels.astype(jnp.float32), condition)
    crop_keys = jax.random.split(crop_key, len(look))
    crop = functools.partial(_random_crop, whole=whole, size=size)
    cropped = jax.vmap(crop)(changed, crop_keys)
    return cropped, jnp.asarray(look_after())[condition, look]


def _change(
    image: Float[Array, "H W 3"], condition: Int[Array, ""]
) -> Float[Array, "H W 3"]:
    """`Condition.pixels` for an index into `CONDITIONS`, in the order of its fields."""
    negative, infrared, turned, mirrored = (condition >> i & 1 for i in (3, 2, 1, 0))
    image = jnp.where(infrared, image[:, :, ::-1], image)
    image = jnp.where(negative, 255 - image, image)
    image = jnp.where(mirrored, image[:, ::-1], image)
    return jnp.where(turned, jnp.rot90(image), image)


def _random_crop(
    image: Float[Array, "H W 3"], key: PRNGKeyArray, whole: Float[Array, ""], size: int
) -> Float[Array, "S S 3"]:
    """The whole picture or a random box of it, resized to `size`."""
    side = image.shape[0]
    whole_key, area_key, ratio_key, place_key = jax.random.split(key, 4)
    area = jax.random.uniform(area_key, minval=_CROP_AREA[0], maxval=_CROP_AREA[1])
    log_ratio = jax.random.uniform(
        ratio_key, minval=np.log(_CROP_RATIO[0]), maxval=np.log(_CROP_RATIO[1])
    )
    stretch = jnp.exp(jnp.stack([-log_ratio, log_ratio]) / 2)
    extent = jnp.minimum(side * jnp.sqrt(area) * stretch, side)
    extent = jnp.where(jax.random.bernoulli(whole_key, whole), side, extent)
    corner = jax.random.uniform(place_key, (2,)) * (side - extent)
    scale = size / extent
    return jax.image.scale_and_translate(
        image, (size, size, 3), (0, 1), scale, -corner * scale, "cubic", antialias=True
    )

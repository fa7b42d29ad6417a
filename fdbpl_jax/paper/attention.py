"""Where the prompts of a finished cell look, as a picture (the paper's figure 11).

A row an image, with Grad-CAM's map of its own class for hand-written text, for the
positive and the negative prompt, and for the direction from the negative to the
positive one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from fdbpl_jax.clip.gradcam import class_maps
from fdbpl_jax.clip.image import normalise, preprocess
from fdbpl_jax.clip.model import Clip, text_features, unit
from fdbpl_jax.data.images import read_image
from fdbpl_jax.data.types import Dataset, Example, prompt_name
from fdbpl_jax.paper.cell import OpenCell, class_text

_SIDE, _GAP, _HEAD = 176, 8, 26  # pixels: of a picture, between two, of a title
_HOT = np.array([255.0, 60.0, 0.0])

_maps = jax.jit(class_maps, static_argnums=0)


class Attention(NamedTuple):
    """Where prompts look in some test images.

    picture: see `picture`. shown: path and class of each row's image.
    """

    picture: Image.Image
    shown: list[tuple[str, str]]


def attention(cell: OpenCell, images: int) -> Attention:
    """Maps of test images of `images` classes, drawn."""
    dataset, names = cell.dataset, cell.facts["class_names"]
    examples = one_of_each(dataset, names, images)
    pixels = np.stack(
        [
            preprocess(read_image(dataset.root, example.path), cell.clip.image.size)
            for example in examples
        ]
    )
    shown = [(x.path, dataset.class_names[x.label]) for x in examples]
    texts = prompt_texts(cell)
    labels = np.array([names.index(name) for _, name in shown])
    wanted = jnp.stack([text[labels] for text in texts.values()])
    maps = attention_maps(cell.clip, pixels, wanted)
    rows = [name for _, name in shown]
    return Attention(picture(pixels, maps, list(texts), rows), shown)


def attention_maps(
    clip: Clip, pixels: UInt8[np.ndarray, "B S S 3"], texts: Float[Array, "Q B D"]
) -> Float[np.ndarray, "Q B G G"]:
    """Grad-CAM maps of the images for each of several texts an image.

    Args:
      clip: the student.
      pixels: of the images, as its tower takes them, 0 to 255.
      texts: directions in the joint space, L2-normalised.

    Returns:
      See `class_maps`; G patches a side.
    """
    params = jax.tree.map(lambda x: x.astype(jnp.float32), clip.params["vision"])
    seen = normalise(clip.image, jnp.asarray(pixels))
    found = [_maps(clip.config.vision, params, seen, text) for text in texts]
    return np.stack(jax.device_get(found))


def prompt_texts(cell: OpenCell) -> dict[str, Float[Array, "C D"]]:
    """Text features of the classes that the cell was trained on, by their column."""
    names = cell.facts["class_names"]
    positive, negative = (class_text(cell, b, names) for b in ("positive", "negative"))
    plain = [f"a photo of a {prompt_name(name)}." for name in names]
    return {
        "hand-written": text_features(cell.clip, plain),
        "positive": positive,
        "negative": negative,
        "difference": unit(positive - negative),
    }


def picture(
    pixels: UInt8[np.ndarray, "B S S 3"],
    maps: Float[np.ndarray, "Q B G G"],
    columns: Sequence[str],
    rows: Sequence[str],
) -> Image.Image:
    """The grid: each image, then its maps laid over it, each map by its own largest.

    Args:
      pixels: of the images.
      maps: of each column and image.
      columns: titles of the maps.
      rows: a title an image.
    """
    font = ImageFont.load_default(size=15)
    width = (len(columns) + 1) * (_SIDE + _GAP) + _GAP
    height = _HEAD + len(rows) * (_SIDE + _HEAD + _GAP)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for place, title in enumerate(["image", *columns]):
        draw.text((_GAP + place * (_SIDE + _GAP), 5), title, "black", font)
    for row, title in enumerate(rows):
        top = _HEAD + row * (_SIDE + _HEAD + _GAP)
        shown = [overlaid(pixels[row], None)]
        shown += [overlaid(pixels[row], one) for one in maps[:, row]]
        for place, image in enumerate(shown):
            sheet.paste(image, (_GAP + place * (_SIDE + _GAP), top))
        draw.text((_GAP, top + _SIDE + 3), title, "black", font)
    return sheet


def overlaid(
    pixels: UInt8[np.ndarray, "S S 3"], heat: Float[np.ndarray, "G G"] | None
) -> Image.Image:
    """The image in grey with the map over it in colour; without a map, the image."""
    image = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    if heat is None:
        return image
    share = heat / max(float(heat.max()), np.finfo(np.float32).tiny)
    large = Image.fromarray(share.astype(np.float32), mode="F").resize(
        (_SIDE, _SIDE), Image.Resampling.BILINEAR
    )
    strength = 0.75 * np.clip(np.asarray(large), 0, 1)[..., None]
    grey = np.asarray(image.convert("L"), np.float32)[..., None]
    mixed = (1 - strength) * grey + strength * _HOT
    return Image.fromarray(np.round(mixed).astype(np.uint8))


def one_of_each(dataset: Dataset, class_names: Sequence[str], count: int) -> list:
    """The first test image of each of `count` classes, spread over all of them."""
    step = max(1, len(class_names) // count)
    wanted = [dataset.class_names.index(n) for n in class_names[::step][:count]]
    first: dict[int, Example] = {}
    for example in dataset.test:
        first.setdefault(example.label, example)
    return [first[label] for label in wanted if label in first]

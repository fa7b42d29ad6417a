"""Where the prompts of a finished cell look, as a picture (the paper's figure 11).

A row per image has the Grad-CAM map of its class for each of `prompt_texts`.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from fdbpl_jax.clip.gradcam import class_maps
from fdbpl_jax.clip.image import normalise, preprocess
from fdbpl_jax.clip.model import Clip, text_features, unit
from fdbpl_jax.data.images import read_image
from fdbpl_jax.data.types import Dataset, Example, prompt_name
from fdbpl_jax.paper.cell import OpenCell, class_text
from fdbpl_jax.paper.drawing import Drawing, Tile, drawing, grid, listed

_SIDE = 176  # pixels
_HOT = np.array([255.0, 60.0, 0.0])

_maps = jax.jit(class_maps, static_argnums=0)


def attention(cell: OpenCell, images: int) -> Drawing:
    """Draw the maps of a test image of each of `images` classes; see `picture`."""
    dataset, names = cell.dataset, cell.facts["class_names"]
    examples = one_of_each(dataset, names, images)
    images_read = (read_image(dataset.root, example.path) for example in examples)
    pixels = np.stack([preprocess(image, cell.clip.image) for image in images_read])
    shown = [(listed(x.path), dataset.class_names[x.label]) for x in examples]
    texts = prompt_texts(cell)
    labels = np.array([names.index(name) for _, name in shown])
    directions = jnp.stack([text[labels] for text in texts.values()])
    maps = attention_maps(cell.clip, pixels, directions)
    image = picture(pixels, maps, list(texts), [name for _, name in shown])
    return drawing(image, ("image", "class"), shown)


def attention_maps(
    clip: Clip, pixels: UInt8[np.ndarray, "B S S 3"], texts: Float[Array, "Q B D"]
) -> Float[np.ndarray, "Q B G G"]:
    """Compute Grad-CAM maps of the images for each of several texts per image.

    The texts are L2-normalised directions in the joint space; for the maps, with G
    patches per side, see `class_maps`.
    """
    params = jax.tree.map(lambda x: x.astype(jnp.float32), clip.params["vision"])
    inputs = normalise(clip.image, jnp.asarray(pixels))
    maps = [_maps(clip.config.vision, params, inputs, text) for text in texts]
    return np.stack(jax.device_get(maps))


def prompt_texts(cell: OpenCell) -> dict[str, Float[Array, "C D"]]:
    """Encode the classes that the cell was trained on, by the title of their column.

    The difference is the direction from the negative to the positive prompt.
    """
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
    """Draw each image, then its maps over it, each map scaled by its largest value.

    `columns` are the titles of the maps, `rows` those of the images.
    """
    bands = []
    for row, title in enumerate(rows):
        plain = Image.fromarray(pixels[row])
        images = [plain, *(overlaid(plain, heat) for heat in maps[:, row])]
        titles = [[(text, "black")] for text in ("image", *columns)]
        bands.append((title, list(map(Tile, images, titles))))
    return grid(bands, len(columns) + 1, _SIDE)


def overlaid(image: Image.Image, heat: Float[np.ndarray, "G G"]) -> Image.Image:
    """Draw the image in grey with the map over it in colour."""
    image = image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    share = heat / max(float(heat.max()), np.finfo(np.float32).tiny)
    small = Image.fromarray(share.astype(np.float32), mode="F")
    large = small.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    strength = 0.75 * np.clip(np.asarray(large), 0, 1)[..., None]
    grey = np.asarray(image.convert("L"), np.float32)[..., None]
    mixed = (1 - strength) * grey + strength * _HOT
    return Image.fromarray(np.round(mixed).astype(np.uint8))


def one_of_each(
    dataset: Dataset, class_names: Sequence[str], count: int
) -> list[Example]:
    """Return the first test image of each of `count` classes, spread over all."""
    step = max(1, len(class_names) // count)
    labels = [dataset.class_names.index(n) for n in class_names[::step][:count]]
    first = {example.label: example for example in reversed(dataset.test)}
    return [first[label] for label in labels if label in first]

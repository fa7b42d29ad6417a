"""Where the prompts of a finished cell look, as a picture (the paper's figure 11).

  python -m fdbpl_jax.visualize --cell=runs/base2new/shapes-negative/coop+fdbpl/seed1

writes `attention.png` into the cell: a row an image, with Grad-CAM's map of its own
class for hand-written text, for the positive and the negative prompt, and for the
direction from the negative to the positive one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags, logging
from jaxtyping import Array, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from fdbpl_jax.checkpoint import load_prompts
from fdbpl_jax.cli import run_app
from fdbpl_jax.clip.gradcam import class_maps
from fdbpl_jax.clip.image import normalise, preprocess
from fdbpl_jax.clip.model import Clip, load_clip, text_features, unit
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.data.datasets import load_dataset
from fdbpl_jax.data.images import read_image
from fdbpl_jax.data.types import Dataset, Example, prompt_name
from fdbpl_jax.errors import UserError
from fdbpl_jax.prompts import coop
from fdbpl_jax.shapes.dataset import load_shapes
from fdbpl_jax.shapes.world import TASKS

_CELL = flags.DEFINE_string("cell", None, "Folder of a finished cell.")
_STUDENT = flags.DEFINE_string("student", "", "Where the student is now, if it moved.")
_DATA_ROOT = flags.DEFINE_string(
    "data_root", "", "The folder that holds the data; of embedded data, runs/shapes."
)
_PICTURE = flags.DEFINE_string("picture", "", "File; default: in the cell.")
_IMAGES = flags.DEFINE_integer("images", 6, "Rows: test images, each of a class.", 1)

_SIDE, _GAP, _HEAD = 176, 8, 26  # pixels: of a picture, between two, of a title
_HOT = np.array([255.0, 60.0, 0.0])

_maps = jax.jit(class_maps, static_argnums=0)


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


def prompt_texts(
    clip: Clip, prompts: Mapping[str, Any], facts: Mapping[str, Any]
) -> dict[str, Float[Array, "C D"]]:
    """Text features of the classes, by the title of the column they stand in.

    Args:
      clip: the student.
      prompts, facts: of `load_prompts`; with a positive and a negative text context.

    Raises:
      UserError: the cell's prompts are of another kind, or of another student.
    """
    if set(prompts) != {"positive", "negative"} or any(
        set(prompt) != {"context"} for prompt in prompts.values()
    ):
        raise UserError(
            f"the prompts of method '{facts['config']['method']}' are not a positive "
            "and a negative text context",
            "Give a cell of coop+fdbpl.",
        )
    if clip.fingerprint != facts["student"]["sha256"]:
        raise UserError(
            f"'{clip.name}' is another student than the cell's",
            f"Set --student to '{facts['student']['name']}' or where it is now.",
        )
    names = [prompt_name(name) for name in facts["class_names"]]
    prompt = PromptConfig(**facts["config"]["prompt"])
    other = coop.negative_prompt(clip.tokenizer, prompt)
    config = {"positive": prompt, "negative": other}
    positive, negative = (
        coop.text_features(
            clip.config.text,
            clip.params["text"],
            coop.class_layout(clip.tokenizer, clip.config.text, names, config[branch]),
            jnp.asarray(prompts[branch]["context"]),
        )
        for branch in ("positive", "negative")
    )
    return {
        "hand-written": text_features(clip, [f"a photo of a {n}." for n in names]),
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


def _dataset(name: str) -> Dataset:
    if name in TASKS:
        return load_shapes(name, Path(_DATA_ROOT.value or "runs/shapes"))
    if not _DATA_ROOT.value:
        raise UserError(
            f"data set '{name}' needs --data_root",
            "Set it to the folder that holds the data sets.",
        )
    return load_dataset(name, Path(_DATA_ROOT.value))


def _main() -> None:
    cell = Path(_CELL.value)
    prompts, facts = load_prompts(cell / "export")
    clip = load_clip(_STUDENT.value or facts["student"]["name"])
    texts = prompt_texts(clip, prompts, facts)
    dataset = _dataset(facts["config"]["dataset"])
    examples = one_of_each(dataset, facts["class_names"], _IMAGES.value)
    images = [
        preprocess(read_image(dataset.root, example.path), clip.image.size)
        for example in examples
    ]
    names = [dataset.class_names[example.label] for example in examples]
    labels = np.array([facts["class_names"].index(name) for name in names])
    wanted = jnp.stack([text[labels] for text in texts.values()])
    maps = attention_maps(clip, np.stack(images), wanted)
    file = Path(_PICTURE.value or cell / "attention.png")
    picture(np.stack(images), maps, list(texts), names).save(file)
    logging.info("%s", file)


if __name__ == "__main__":
    run_app(_main, required=("cell",))

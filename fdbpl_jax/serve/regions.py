"""The regions of a picture and what the teacher says of them."""

import functools
import hashlib
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, UInt8, UInt16
from PIL import Image

from fdbpl_jax.clip.model import Clip, image_features, logit_scale, text_features
from fdbpl_jax.config import CropConfig
from fdbpl_jax.data.types import written_texts
from fdbpl_jax.ril.labels import information_weight, soft_labels
from fdbpl_jax.ril.regions import crop_region, draw_regions

_SEED = 0  # as of tables, which then hold the same regions of the same file
_KEPT_LISTS = 50


class Cut(NamedTuple):
    """The regions of a picture, cut out."""

    box: UInt16[np.ndarray, "M 4"]  # top, left, height, width in pixels
    flip: Bool[np.ndarray, " M"]
    pixels: UInt8[np.ndarray, "M S S 3"]


class Region(NamedTuple):
    """A region, and what the teacher says of it."""

    top: int  # pixels, of the upright picture
    left: int
    height: int
    width: int
    flip: bool  # whether the teacher saw it mirrored
    weight: float  # information weight w, 0 to 1 (paper, equation 6)
    label: str  # the most probable class
    probability: float  # of the label


class Regions:
    """Draws regions as a RIL table does, and weighs them by a teacher."""

    def __init__(self, teacher: Clip, template: str, count: int) -> None:
        """Compile the teacher's program, for `count` regions of a picture."""
        self.teacher, self.count = teacher, count

        def encode(names: tuple[str, ...]) -> Float[jax.Array, "C D"]:
            return text_features(teacher, written_texts(template, names))

        self._texts = functools.lru_cache(_KEPT_LISTS)(encode)
        side = teacher.image.size
        image_features(teacher, np.zeros((count, side, side, 3), np.uint8))

    def cut(self, picture: Image.Image, content: bytes) -> Cut:
        """Draw and cut regions of a picture; `content` of its file decides which."""
        key = hashlib.sha256(content).hexdigest()
        size, slots = (picture.height, picture.width), range(self.count)
        box, flip = draw_regions(CropConfig(), _SEED, key, size, slots)
        side = self.teacher.image.size
        pixels = [
            crop_region(picture, *row, side)
            for row in zip(box, flip.tolist(), strict=True)
        ]
        return Cut(box, flip, np.stack(pixels))

    def weigh(self, cut: Cut, names: tuple[str, ...]) -> list[Region]:
        """Ask the teacher for the class of each region among `names`.

        The most informative first. For a single thread.

        Raises:
          UserError: a name that the teacher's text tower cannot take.
        """
        features = image_features(self.teacher, cut.pixels)
        scale = np.float32(logit_scale(self.teacher))
        text = self._texts(names)
        index, probability, entropy = soft_labels(features, text, scale, 1)
        weight = np.asarray(information_weight(entropy, len(names)))
        index, probability = np.asarray(index), np.asarray(probability)
        return [
            Region(
                *cut.box[row].tolist(),
                flip=bool(cut.flip[row]),
                weight=float(weight[row]),
                label=names[index[row, 0]],
                probability=float(probability[row, 0]),
            )
            for row in np.argsort(-weight, kind="stable")
        ]

"""Pixels for the towers: regions cut of decoded images, by Pillow or on the device."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt16
from PIL import Image

from fdbpl_jax.config import CropConfig
from fdbpl_jax.data.pipeline import Pixels
from fdbpl_jax.ril.device_crops import cut_image
from fdbpl_jax.ril.regions import crop_region, draw_region


class Cutter(NamedTuple):
    """How regions are cut."""

    sizes: dict[str, int]  # in pixels, by name
    where: str  # "host" or "device"

    def cut(
        self, image: Image.Image, box: UInt16[np.ndarray, " 4"], flip: bool
    ) -> dict[str, Pixels]:
        """One region at every size; sizes that are equal share their pixels."""
        sizes = set(self.sizes.values())
        cuts = {size: self._cut_one(image, box, flip, size) for size in sizes}
        return {name: cuts[size] for name, size in self.sizes.items()}

    def view(self, crop: CropConfig, image: Image.Image, rng: np.random.Generator):
        """A fresh region of an image at every size, drawn by `rng`."""
        box, flip = draw_region(crop, rng, (image.height, image.width))
        return self.cut(image, box, flip)

    def _cut_one(
        self, image: Image.Image, box: UInt16[np.ndarray, " 4"], flip: bool, size: int
    ) -> Pixels:
        if self.where == "host":
            return crop_region(image, box, flip, size)
        flips: Bool[np.ndarray, " 1"] = np.array([flip])
        return cut_image(image, box[None], flips, size)[0]

"""A sample of a table's regions, and what it says about the teacher and the images."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Float16, Float32, Int, UInt, UInt8, UInt16

from fdbpl_jax.data.types import Dataset, prompt_name
from fdbpl_jax.ril.crops import decode_unchanged
from fdbpl_jax.ril.labels import information_weight
from fdbpl_jax.ril.regions import crop_region
from fdbpl_jax.ril.spec import ImageRecord, TableSpec
from fdbpl_jax.ril.table import Table

_REGIONS = 50_000  # of a sample, unless there are more images
_LABELS = 3  # of a tile
_TILE = 200  # pixels a side
BINS = 10  # of w, from 0 to 1


@dataclasses.dataclass(frozen=True)
class Regions:
    """m regions of each of n images; boxes and labels as the table stores them."""

    box: UInt16[np.ndarray, "n m 4"]  # top, left, height and width in pixels
    flip: Bool[np.ndarray, "n m"]
    label_index: UInt[np.ndarray, "n m K"]  # most probable first
    label_prob: Float16[np.ndarray, "n m K"]
    weight: Float32[np.ndarray, "n m"]  # w, see `information_weight`


@dataclasses.dataclass(frozen=True)
class Tile:
    """One region to be looked at."""

    pixels: UInt8[np.ndarray, "S S 3"]
    path: str  # of the image
    flip: bool
    weight: float
    truth: str  # the image's class in words; empty: not known
    labels: tuple[tuple[str, float], ...]  # the most probable classes in words


def read_regions(
    table: Table, rows: Int[np.ndarray, " n"], slots: Int[np.ndarray, " m"]
) -> Regions:
    """These regions of these images.

    Raises:
      UserError: a shard is missing or damaged, naming it.
    """
    names = ["box", "flip", "label_index", "label_prob", "entropy"]
    found = table.read(names, rows, slots)
    entropy = jnp.asarray(found.pop("entropy"))
    weight = information_weight(entropy, len(table.spec.class_names))
    return Regions(**found, weight=np.asarray(weight))


def sample_regions(table: Table) -> Regions:
    """The first regions of every image, as many of each as make 50,000, at least one.

    Raises:
      UserError: a shard is missing or damaged, naming it.
    """
    images = len(table.spec.images)
    slots = max(1, min(table.spec.regions, _REGIONS // images))
    return read_regions(table, np.arange(images), np.arange(slots))


def true_labels(
    dataset: Dataset, images: Sequence[ImageRecord], class_names: Sequence[str]
) -> Int[np.ndarray, " n"]:
    """The data set's class of each image, as a place in `class_names`.

    It is -1 where the data set does not list the image, or its class is none of these.
    """
    place = {name: label for label, name in enumerate(class_names)}
    examples = (*dataset.train, *dataset.val, *dataset.test)
    name_of = {e.path: dataset.class_names[e.label] for e in examples}
    return np.array([place.get(name_of.get(i.path, ""), -1) for i in images])


def agreement(
    best: UInt[np.ndarray, "n m"],
    label: Int[np.ndarray, " n"],
    weight: Float[np.ndarray, "n m"],
) -> tuple[float, Float[np.ndarray, " bins"]]:
    """How often the teacher's first label is the image's class.

    Args:
      best: first labels of regions.
      label: of their images; -1: not known, and left out.
      weight: w of the regions.

    Returns:
      The share of all regions, and of those in each of `BINS` equal bins of w; NaN
      where there is none.
    """
    known = label >= 0
    agree, weight = best[known] == label[known, None], weight[known]
    hits, _ = np.histogram(weight[agree], BINS, (0, 1))
    counts, _ = np.histogram(weight, BINS, (0, 1))
    by_weight = np.full(BINS, np.nan)
    np.divide(hits, counts, out=by_weight, where=counts > 0)
    return float(agree.mean()) if agree.size else float("nan"), by_weight


def most_spread(weight: Float[np.ndarray, "n m"]) -> int:
    """The image whose regions differ most in w, by their standard deviation."""
    return int(weight.std(axis=1).argmax())


def across(weight: Float[np.ndarray, " m"], count: int) -> Int[np.ndarray, " k"]:
    """`count` regions from the least to the most informative, evenly by rank of w."""
    ranks = np.linspace(0, len(weight) - 1, min(count, len(weight)))
    return np.argsort(weight, kind="stable")[np.rint(ranks).astype(int)]


def extremes(
    weight: Float[np.ndarray, "n m"], count: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The `count` most and least informative regions, at most one of an image.

    Returns:
      (image, region) of each: the most informative first, and the least one first.
    """

    def lowest(value: Float[np.ndarray, "n m"]) -> list[tuple[int, int]]:
        slot = value.argmin(axis=1)
        rows = np.argsort(value.min(axis=1), kind="stable")[:count]
        return [(int(row), int(slot[row])) for row in rows]

    return lowest(-weight), lowest(weight)


def cut_tile(
    spec: TableSpec,
    root: Path,
    found: Regions,
    label: Int[np.ndarray, " n"],
    place: tuple[int, int],
) -> Tile:
    """A region, cut as it was for the teacher, with what the table says of it.

    Args:
      spec: of the table.
      root: the folder of the images.
      found: regions of all images.
      label: of the images, as `true_labels` gives them.
      place: which image, and which of its regions.

    Raises:
      UserError: the image cannot be read, or is not the one that the table knows.
    """
    record, truth = spec.images[place[0]], int(label[place[0]])
    image, flip = decode_unchanged(root, record), bool(found.flip[place])
    names = [prompt_name(name) for name in spec.class_names]
    best = zip(found.label_index[place], found.label_prob[place], strict=True)
    return Tile(
        pixels=crop_region(image, found.box[place], flip, _TILE),
        path=record.path,
        flip=flip,
        weight=float(found.weight[place]),
        truth=names[truth] if truth >= 0 else "",
        labels=tuple((names[index], float(prob)) for index, prob in best)[:_LABELS],
    )

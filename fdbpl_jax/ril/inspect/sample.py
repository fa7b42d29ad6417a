"""A sample of a table's regions, with statistics of the teacher's labels."""

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

_REGIONS = 50_000  # per sample, unless there are more images
_LABELS = 3  # per tile
_TILE = 200  # pixels per side
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
    """One region to be shown."""

    pixels: UInt8[np.ndarray, "S S 3"]
    path: str  # of the image
    flip: bool
    weight: float
    truth: str  # the image's class in words; empty: unknown
    labels: tuple[tuple[str, float], ...]  # the most probable classes in words


def read_regions(
    table: Table, rows: Int[np.ndarray, " n"], slots: Int[np.ndarray, " m"]
) -> Regions:
    """Read these regions of these images; raises as `Table.read`."""
    names = ["box", "flip", "label_index", "label_prob", "entropy"]
    values = table.read(names, rows, slots)
    entropy = jnp.asarray(values.pop("entropy"))
    weight = information_weight(entropy, len(table.spec.class_names))
    return Regions(**values, weight=np.asarray(weight))


def sample_regions(table: Table) -> Regions:
    """Read the first regions of every image, about 50,000 in all, at least one each."""
    images = len(table.spec.images)
    slots = max(1, min(table.spec.regions, _REGIONS // images))
    return read_regions(table, np.arange(images), np.arange(slots))


def true_labels(
    dataset: Dataset, images: Sequence[ImageRecord], class_names: Sequence[str]
) -> Int[np.ndarray, " n"]:
    """Look up the data set's class of each image, as its index in `class_names`.

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
    """Measure how often the `best` label of a region is that of its image.

    That is the share of all regions, and of those in each of `BINS` equal bins of the
    weight w; NaN where there is none. Images with label -1, unknown, are left out.
    """
    known = label >= 0
    agree, weight = best[known] == label[known, None], weight[known]
    hits, _ = np.histogram(weight[agree], BINS, (0, 1))
    counts, _ = np.histogram(weight, BINS, (0, 1))
    by_weight = np.full(BINS, np.nan)
    np.divide(hits, counts, out=by_weight, where=counts > 0)
    return float(agree.mean()) if agree.size else float("nan"), by_weight


def most_spread(weight: Float[np.ndarray, "n m"]) -> int:
    """Select the image whose regions differ most in w, by their standard deviation."""
    return int(weight.std(axis=1).argmax())


def across(weight: Float[np.ndarray, " m"], count: int) -> Int[np.ndarray, " k"]:
    """Select `count` regions, least to most informative, evenly by rank of w."""
    ranks = np.linspace(0, len(weight) - 1, min(count, len(weight)))
    return np.argsort(weight, kind="stable")[np.rint(ranks).astype(int)]


def extremes(
    weight: Float[np.ndarray, "n m"], count: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Select the `count` most and least informative regions, at most one per image.

    Each as (image, region), in the order of w: the most informative first, and the
    least informative first.
    """

    def lowest(value: Float[np.ndarray, "n m"]) -> list[tuple[int, int]]:
        slot = value.argmin(axis=1)
        rows = np.argsort(value.min(axis=1), kind="stable")[:count]
        return [(int(row), int(slot[row])) for row in rows]

    return lowest(-weight), lowest(weight)


def cut_tile(
    spec: TableSpec,
    root: Path,
    regions: Regions,
    label: Int[np.ndarray, " n"],
    place: tuple[int, int],
) -> Tile:
    """Cut a region as it was for the teacher, and add the table's values of it.

    `label` is that of `true_labels`; `place` the index of the image and of its region.
    Raises as `decode_unchanged`.
    """
    record, truth = spec.images[place[0]], int(label[place[0]])
    image, flip = decode_unchanged(root, record), bool(regions.flip[place])
    names = [prompt_name(name) for name in spec.class_names]
    best = zip(regions.label_index[place], regions.label_prob[place], strict=True)
    return Tile(
        pixels=crop_region(image, regions.box[place], flip, _TILE),
        path=record.path,
        flip=flip,
        weight=float(regions.weight[place]),
        truth=names[truth] if truth >= 0 else "",
        labels=tuple((names[index], float(prob)) for index, prob in best)[:_LABELS],
    )

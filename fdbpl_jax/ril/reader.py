"""Epochs of stored regions for phase 2, read in the background."""

import dataclasses
import functools
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grain
import numpy as np
from jaxtyping import Int, Int32
from PIL import Image

from fdbpl_jax.data.pipeline import ahead, epoch_steps
from fdbpl_jax.errors import UserError, unknown_name
from fdbpl_jax.ril.crops import decode
from fdbpl_jax.ril.table import Table

ACCESS = ("slab", "random")
Cut = Callable[[Image.Image, np.ndarray, bool], Any]  # image, box, flip → pixels


@dataclasses.dataclass(frozen=True)
class EpochPlan:
    """The regions that a run reads, and its batches."""

    epochs: int
    regions_per_epoch: int  # R, per image
    batch_size: int  # at most n·R regions are used
    access: str  # "slab": the same slots of all images; "random": slots per image
    seed: int  # of the order, and of the slots when they are random


def regions_read(plan: EpochPlan, regions: int) -> int:
    """Count the regions, of M, of an image that a complete run reads at least once.

    For random access this is the expected number, rounded.
    """
    if plan.access == "slab":
        return min(regions, plan.epochs * plan.regions_per_epoch)
    share = min(1.0, plan.regions_per_epoch / regions)
    return round(regions * (1 - (1 - share) ** plan.epochs))


def epoch_iterator(
    table: Table,
    rows: Int[np.ndarray, " n"],
    labels: Int32[np.ndarray, " n"],
    plan: EpochPlan,
) -> grain.DatasetIterator:
    """Iterate over epochs, each a number of full batches, reshuffled each time.

    With slab access, epoch e reads slots e·R … e·R + R - 1, modulo M, of every image:
    regions are independent draws, so any R of them are as random as any others, and
    these lie side by side. With random access every image has R slots of its own.
    Order and slots follow from (plan, epoch) alone, not from where a run was
    interrupted: `get_state()` and `set_state()` resume exactly. The next epoch is read
    while one is used.

    Args:
      table, plan: what is read.
      rows: the table's rows, that is images, to learn from.
      labels: the data set's label of each.

    Returns:
      A checkpointable Grain iterator. An element is an epoch, leading axes [steps B]:
      "label" int32; "label_index" int32 and "label_prob" float16, [steps B K];
      "entropy" float32; and "feature" float16 [steps B D], if the table was opened
      with a student. What does not fill a batch is left out of that epoch.

    Raises:
      UserError: the plan does not fit the table; a lost or damaged shard raises one
        when its epoch is asked for.
    """
    _check(table, rows, plan)
    read = functools.partial(_read_epoch, table, rows, labels, plan)
    epochs = grain.MapDataset.range(plan.epochs).map(read)
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=1)
    return iter(epochs.to_iter_dataset(options))


def region_batches(
    table: Table,
    root: Path,
    rows: Int[np.ndarray, " n"],
    labels: Int32[np.ndarray, " n"],
    plan: EpochPlan,
    *,
    cut: Cut,
) -> grain.DatasetIterator:
    """Iterate over the batches of `epoch_iterator`, with "pixels" as `cut` makes them.

    Images of the folder `root` are decoded and their regions cut in several threads,
    ahead of the device. The Grain iterator is checkpointable.

    Raises:
      UserError: as `epoch_iterator`; or an image cannot be read or has changed.
    """
    _check(table, rows, plan)
    batch, steps = epoch_steps(len(rows) * plan.regions_per_epoch, plan.batch_size)
    reading = threading.Lock()
    read = functools.partial(_read_epoch, table, rows, labels, plan, places=True)
    cached = functools.lru_cache(maxsize=2)(read)  # at a seam both epochs are wanted

    def region(number: int) -> dict[str, Any]:
        epoch, place = divmod(number, steps * batch)
        with reading:
            values = cached(epoch)
        element = {name: value[divmod(place, batch)] for name, value in values.items()}
        image = decode(root, table.spec.images[element.pop("image")])
        pixels = cut(image, element.pop("box"), bool(element.pop("flip")))
        return element | {"pixels": pixels}

    regions = grain.MapDataset.range(plan.epochs * steps * batch).map(region)
    return ahead(regions, batch)


def _check(table: Table, rows: Int[np.ndarray, " n"], plan: EpochPlan) -> None:
    if plan.access not in ACCESS:
        raise unknown_name("access to a RIL table", plan.access, ACCESS)
    if not len(rows):
        raise UserError("there is no image to train on", "Check the split and shots.")
    if plan.regions_per_epoch > table.spec.regions:
        raise UserError(
            f"an epoch needs regions {plan.regions_per_epoch} of RIL table "
            f"'{table.path}', which has {table.spec.regions}",
            "Ask for fewer, or build a table with more.",
        )


def _read_epoch(
    table: Table,
    rows: Int[np.ndarray, " n"],
    labels: Int32[np.ndarray, " n"],
    plan: EpochPlan,
    epoch: int,
    *,
    places: bool = False,
) -> dict[str, np.ndarray]:
    """Read the regions of an epoch in its order; with `places` also their boxes."""
    images, taken = len(rows), plan.regions_per_epoch
    key = hashlib.sha256(f"epoch\0{plan.seed}\0{epoch}".encode()).digest()
    rng = np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16])))
    batch, steps = epoch_steps(images * taken, plan.batch_size)
    order = rng.permutation(images * taken)[: steps * batch].reshape(steps, batch)
    names = [*table.training_names, *(["box", "flip"] if places else [])]
    if plan.access == "slab":
        slots = (epoch * taken + np.arange(taken)) % table.spec.regions
        values = table.read(names, rows, slots)
    else:
        # The `taken` smallest of M random numbers: a draw without replacement.
        ranks = rng.random((images, table.spec.regions))
        slots = np.argpartition(ranks, taken - 1, axis=1)[:, :taken]
        values = table.read(names, rows[:, None], slots, paired=True)
    element = {}
    for name, value in values.items():
        regions = value.reshape(-1, *value.shape[2:])
        element[name.partition("/")[0]] = regions[order]
    element["label_index"] = element["label_index"].astype(np.int32)
    element["label"] = labels[order // taken]
    if places:
        element["image"] = rows[order // taken]
    return element

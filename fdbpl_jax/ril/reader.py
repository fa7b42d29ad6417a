"""Phase 2's side of a table: epochs of stored regions, read in the background."""

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

from fdbpl_jax.data.pipeline import ahead
from fdbpl_jax.errors import UserError, unknown_name
from fdbpl_jax.ril.crops import decode
from fdbpl_jax.ril.manifest import feature_name
from fdbpl_jax.ril.table import Table

ACCESS = ("slab", "random")
Cut = Callable[[Image.Image, np.ndarray, bool], Any]  # image, box, flip → pixels


@dataclasses.dataclass(frozen=True)
class EpochPlan:
    """Which regions a run reads, and in what batches."""

    epochs: int
    regions_per_epoch: int  # R, of each image
    batch_size: int  # of all processes together; at most n·R regions are used
    access: str  # "slab": the same slots of all images; "random": each image its own
    seed: int  # of the order, and of the slots when they are random
    keep: int = 0  # the most probable labels to read; 0: all that the table keeps


def regions_read(plan: EpochPlan, regions: int) -> int:
    """How many of the `regions` (M) of an image a whole run reads at least once.

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
    shard: tuple[int, int] = (0, 1),
) -> grain.DatasetIterator:
    """Iterates over epochs, each a whole number of batches, reshuffled each time.

    With slab access, epoch e reads slots e·R … e·R + R - 1, modulo M, of every image:
    regions are independent draws, so any R of them are as random as any others, and
    these lie side by side. With random access every image has R slots of its own.
    Order and slots follow from (plan, epoch) alone, not from the number of processes
    or from where a run was interrupted: `get_state()` and `set_state()` resume exactly.
    The next epoch is read while one is used.

    Args:
      table: an open table.
      rows: the table's rows, that is images, to learn from.
      labels: the data set's label of each.
      plan: what is read.
      shard: this process's (index, count); it gets its equal part of every batch.

    Returns:
      A checkpointable Grain iterator. An element is an epoch, leading axes [steps B]
      with B the process's part of the batch: "label" int32; "label_index" int32 and
      "label_prob" float16, [steps B K]; "entropy" float32; and "feature" float16
      [steps B D], if the table was opened with a student. What does not fill a batch
      is left out of that epoch.

    Raises:
      UserError: the plan does not fit the table, or the batch cannot be dealt out; a
        lost or damaged shard raises one when its epoch is asked for.
    """
    _check(table, rows, plan, shard)

    def read(epoch: int) -> dict[str, np.ndarray]:
        return _read_epoch(table, rows, labels, plan, shard, epoch)

    epochs = grain.MapDataset.range(plan.epochs).map(read)
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=1)
    return iter(epochs.to_iter_dataset(options))


def region_batches(
    table: Table,
    root: Path,
    rows: Int[np.ndarray, " n"],
    labels: Int32[np.ndarray, " n"],
    plan: EpochPlan,
    cut: Cut,
    shard: tuple[int, int] = (0, 1),
) -> grain.DatasetIterator:
    """Iterates over the batches of `epoch_iterator`, with the regions themselves.

    An image is decoded and its region cut in threads, ahead of the device.

    Args:
      table, rows, labels, plan, shard: see `epoch_iterator`.
      root: the folder of the images.
      cut: makes pixels of an image, a box and a flip; called from several threads.

    Returns:
      A checkpointable Grain iterator. An element is a batch: what `epoch_iterator` has
      of it, and "pixels" as `cut` makes them.

    Raises:
      UserError: as `epoch_iterator`; or an image cannot be read or has changed.
    """
    _check(table, rows, plan, shard)
    batch, steps = _steps(len(rows), plan)
    part = batch // shard[1]
    reading = threading.Lock()

    @functools.lru_cache(maxsize=2)  # at the seam of two epochs both are wanted
    def read(epoch: int) -> dict[str, np.ndarray]:
        return _read_epoch(table, rows, labels, plan, shard, epoch, places=True)

    def region(number: int) -> dict[str, Any]:
        epoch, place = divmod(number, steps * part)
        with reading:
            found = read(epoch)
        own = {name: value[divmod(place, part)] for name, value in found.items()}
        image = decode(root, table.spec.images[own.pop("image")])
        return own | {"pixels": cut(image, own.pop("box"), bool(own.pop("flip")))}

    regions = grain.MapDataset.range(plan.epochs * steps * part).map(region)
    return ahead(regions, part)


def _check(
    table: Table,
    rows: Int[np.ndarray, " n"],
    plan: EpochPlan,
    shard: tuple[int, int],
) -> None:
    if plan.access not in ACCESS:
        raise unknown_name("access to a RIL table", plan.access, ACCESS)
    if not len(rows):
        raise UserError("there is no image to train on", "Check the split and shots.")
    wanted = {"regions": plan.regions_per_epoch, "keep": plan.keep}
    for name, value in wanted.items():
        if value > getattr(table.spec, name):
            raise UserError(
                f"an epoch needs {name} {value} of RIL table '{table.path}', which has "
                f"{getattr(table.spec, name)}",
                "Ask for fewer, or build a table with more.",
            )
    batch = _steps(len(rows), plan)[0]
    if batch % shard[1]:
        raise UserError(
            f"a batch of {batch} regions cannot be dealt out to {shard[1]} processes",
            f"Use a multiple of {shard[1]}.",
        )


def _steps(images: int, plan: EpochPlan) -> tuple[int, int]:
    """The batch really used and the whole ones an epoch."""
    regions = images * plan.regions_per_epoch
    batch = min(plan.batch_size, regions)
    return batch, regions // batch


def _read_epoch(
    table: Table,
    rows: Int[np.ndarray, " n"],
    labels: Int32[np.ndarray, " n"],
    plan: EpochPlan,
    shard: tuple[int, int],
    epoch: int,
    places: bool = False,
) -> dict[str, np.ndarray]:
    # places: also which image of the table a region is of, and where it is cut.
    images, taken = len(rows), plan.regions_per_epoch
    rng = _generator(plan.seed, epoch)
    batch, steps = _steps(images, plan)
    order = rng.permutation(images * taken)[: steps * batch].reshape(steps, batch)
    part = batch // shard[1]
    order = order[:, shard[0] * part : (shard[0] + 1) * part]
    names = ["label_index", "label_prob", "entropy"]
    if table.student:
        names.append(feature_name(table.student))
    names += ["box", "flip"] if places else []
    if plan.access == "slab":
        slots = (epoch * taken + np.arange(taken)) % table.spec.regions
        found = table.read(names, rows, slots)
    else:
        # The `taken` smallest of M random numbers: a draw without replacement.
        ranks = rng.random((images, table.spec.regions))
        slots = np.argpartition(ranks, taken - 1, axis=1)[:, :taken]
        found = table.read(names, rows[:, None], slots, paired=True)
    keep = plan.keep or table.spec.keep

    def deal(value: np.ndarray) -> np.ndarray:
        return value.reshape(-1, *value.shape[2:])[order]

    element = {
        "label": labels[order // taken],
        "label_index": deal(found["label_index"][..., :keep]).astype(np.int32),
        "label_prob": deal(found["label_prob"][..., :keep]),
        "entropy": deal(found["entropy"]),
    }
    if table.student:
        element["feature"] = deal(found[feature_name(table.student)])
    if places:
        element |= {"box": deal(found["box"]), "flip": deal(found["flip"])}
        element["image"] = rows[order // taken]
    return element


def _generator(seed: int, epoch: int) -> np.random.Generator:
    key = hashlib.sha256(f"epoch\0{seed}\0{epoch}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16])))

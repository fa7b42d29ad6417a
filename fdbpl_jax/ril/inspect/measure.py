"""Size of a finished table on disk, and the time to read it."""

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from fdbpl_jax.ril import manifest, store
from fdbpl_jax.ril.manifest import feature_name
from fdbpl_jax.ril.table import Table, block_images, open_unchecked

# The paper's figure 9: CPU read time, "averaged over three independent runs, each
# randomly reading 500 cropped offline files".
_REGIONS = 500
_REPEATS = 3


def disk_bytes(table: Table) -> dict[str, int]:
    """Measure the files of every array, in bytes by name; {} in an object store.

    Features of all students count, whichever the table was opened with.
    """
    local = store.folder_path(table.folder)
    if local is None:
        return {}
    features = map(feature_name, manifest.students(table.folder))
    names = dict.fromkeys([*table.arrays, *features])
    return {name: _bytes(local / name) for name in names}


def folder_bytes(table: Table) -> int:
    """Measure all files of a table, in bytes; 0 in an object store."""
    local = store.folder_path(table.folder)
    return 0 if local is None else _bytes(local)


class Packing(NamedTuple):
    """Bytes of a table's parts, from which the size of another of its kind follows."""

    region: float  # its values, compressed
    image: float  # its record in the manifest
    arrays: int
    once: float  # descriptions of arrays, and the rest of the manifest


def measure_packing(table: Table) -> Packing:
    """Measure how a small table on a disk is packed."""
    local = Path(table.folder.path)
    images, regions = len(table.spec.images), table.spec.regions
    once: float = sum(file.stat().st_size for file in local.rglob("zarr.json"))
    shards = sum(_bytes(local / name / "c") for name in table.arrays)
    values = shards - len(table.arrays) * _index_bytes(images, regions)
    image = len(json.dumps(table.spec.to_json()["images"], indent=1)) / images
    once += (local / manifest.MANIFEST).stat().st_size - image * images
    return Packing(values / (images * regions), image, len(table.arrays), once)


def packed_bytes(packing: Packing, images: int, regions: int) -> float:
    """Estimate all files of a table of so many images and regions of each."""
    return (
        packing.region * images * regions
        + packing.image * images
        + packing.arrays * _index_bytes(images, regions)
        + packing.once
    )


def _index_bytes(images: int, regions: int) -> int:
    """Bytes of an array that are no values: per block, and per slot of each block."""
    blocks = -(-images // block_images(images, regions))
    return blocks * (4 + 20 * regions)


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def read_seconds(table: Table) -> float:
    """Time a read of the labels of 500 random regions, in seconds, the mean of 3 reads.

    Each reads label_index, label_prob and entropy, and the student's feature if the
    table was opened with one; of other regions each time, and of a table opened anew,
    because TensorStore caches what it reads. The cache of the operating system is not
    emptied, so for a table just written this is no measure of the disk.
    """
    seconds = []
    for rows, slots in _draws(len(table.spec.images), table.spec.regions):
        fresh = open_unchecked(table.path, table.student)
        started = perf_counter()
        fresh.read(table.training_names, rows, slots, paired=True)
        seconds.append(perf_counter() - started)
    return statistics.fmean(seconds)


def _draws(
    images: int, regions: int
) -> Iterator[tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]]:
    """Draw rows and slots of 500 regions per repeat; none twice if there are enough."""
    rng = np.random.default_rng(0)
    stored = images * regions
    for _ in range(_REPEATS):
        drawn = rng.choice(stored, _REGIONS, replace=stored < _REGIONS)
        yield drawn // regions, drawn % regions

"""Size of a finished table on disk, and the time to read it."""

import statistics
from collections.abc import Iterator
from time import perf_counter

import numpy as np
from jaxtyping import Int

from fdbpl_jax.ril import manifest, store
from fdbpl_jax.ril.manifest import feature_name
from fdbpl_jax.ril.table import Table, open_table

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
    return {
        name: sum(f.stat().st_size for f in (local / name).rglob("*") if f.is_file())
        for name in names
    }


def read_seconds(table: Table) -> float:
    """Time a read of the labels of 500 random regions, in seconds, the mean of 3 reads.

    Each reads label_index, label_prob and entropy, and the student's feature if the
    table was opened with one; of other regions each time, and of a table opened anew,
    because TensorStore caches what it reads. The cache of the operating system is not
    emptied, so for a table just written this is no measure of the disk.
    """
    seconds = []
    for rows, slots in _draws(len(table.spec.images), table.spec.regions):
        fresh = open_table(table.path, table.student)
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

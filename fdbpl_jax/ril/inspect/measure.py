"""What a finished table takes: bytes on disk, and time to read."""

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
    """Bytes of the files of every array, by its name.

    Of all students' features, whichever the table was opened with. Empty for a table
    that is not in a local folder.
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
    """Seconds that reading the labels of 500 random regions takes, the mean of 3 reads.

    Read are label_index, label_prob and entropy, and the student's feature if the table
    was opened with one; found, decompressed and as arrays in memory. Each read is of
    other regions, and of a table opened anew: TensorStore keeps what it has read, so an
    open table may answer from memory. What the operating system keeps of the files is
    not emptied, so of a table just written this is no measure of the disk.

    Raises:
      UserError: a shard is missing or damaged, naming it.
    """
    names = ["label_index", "label_prob", "entropy"]
    if table.student:
        names.append(feature_name(table.student))
    seconds = []
    for rows, slots in _draws(len(table.spec.images), table.spec.regions):
        fresh = open_table(table.path, table.student)
        started = perf_counter()
        fresh.read(names, rows, slots, paired=True)
        seconds.append(perf_counter() - started)
    return sum(seconds) / len(seconds)


def _draws(
    images: int, regions: int
) -> Iterator[tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]]:
    """For each repeat rows and slots of 500 regions; none twice if there are enough."""
    rng = np.random.default_rng(0)
    stored = images * regions
    for _ in range(_REPEATS):
        drawn = rng.choice(stored, _REGIONS, replace=stored < _REGIONS)
        yield drawn // regions, drawn % regions

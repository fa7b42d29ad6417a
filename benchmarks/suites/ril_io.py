"""Reading stored regions: a RIL table compared with one PyTorch file per image.

The paper's figure 9 reads 500 random records at several K; an epoch reads one region of
every image. Both sides read files that were just written, so from the system's cache:
disk speed is not measured, only the number of bytes.
"""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from benchmarks import torch_records
from benchmarks.section import Section, Target, markdown_table
from benchmarks.synthetic_table import synthetic_spec, write_table
from benchmarks.timing import Side, Timing, cores, in_turns
from fdbpl_jax.ril.reader import EpochPlan, epoch_iterator
from fdbpl_jax.ril.table import Table, open_table, open_unchecked

RECORDS_TARGET = 20.0
EPOCH_TARGET = 100.0

OURS, OURS_NEW = "RIL table", "RIL table, opened for it"
OURS_FEATURES = "RIL table, with features"
OURS_SLOT = "RIL table, one slot"
THEIRS, THEIRS_LOADER = "a file an image", "a file an image, DataLoader"


class Stored(NamedTuple):
    """The same amount of labels in both formats; features only in ours."""

    table: Path  # labels only
    featured: Path | None  # the same with features
    files: Path


def measure(sizes: ConfigDict, log: Callable[[str], None]) -> Section:
    """Time random records for every K, and complete epochs for `epoch_keep`.

    Args:
      sizes: images (a multiple of batch), regions, classes, keep (several K),
        epoch_keep (one of them), width (D of the features), records, batch, epochs (of
        ours per timed run), workers (of the DataLoader; 0: one per core), repeats.
      log: takes lines on how far it is.
    """
    with tempfile.TemporaryDirectory() as folder:
        stored = {}
        for keep in sizes.keep:
            log(f"writing {sizes.images} × {sizes.regions} regions, K = {keep}")
            width = sizes.width if keep == sizes.epoch_keep else 0
            stored[keep] = write(Path(folder) / str(keep), sizes, keep, width)
        records = {}
        for keep, places in stored.items():
            log(f"{sizes.records} random records, K = {keep}")
            records[keep] = in_turns(record_sides(places, sizes), sizes.repeats, log)
        log(f"epochs, K = {sizes.epoch_keep}")
        places = stored[sizes.epoch_keep]
        epochs = in_turns(epoch_sides(places, sizes), sizes.repeats, log)
        size = {keep: bytes_a_region(places) for keep, places in stored.items()}
    return _section(sizes, records, epochs, size)


def write(folder: Path, sizes: ConfigDict, keep: int, width: int) -> Stored:
    """Write both formats; width 0: no table with features."""
    shape = (sizes.images, sizes.regions, sizes.classes, keep)
    write_table(folder / "table", synthetic_spec(*shape, width=0))
    featured = folder / "featured" if width else None
    if featured:
        write_table(featured, synthetic_spec(*shape, width=width))
    rng = np.random.default_rng(0)
    values = {
        "coords": rng.random((sizes.regions, 4), np.float32),
        "flip": rng.random(sizes.regions) < 0.5,
        "topk": rng.random((sizes.regions, 2, keep), np.float32),
    }
    torch_records.write_records(folder / "files", sizes.images, values)
    return Stored(folder / "table", featured, folder / "files")


def record_sides(stored: Stored, sizes: ConfigDict) -> list[Side]:
    """Return sides that read complete random records, different ones in each run.

    One side reads as training does: the same random slot of random images.
    """
    table = open_table(stored.table, "")
    names = (OURS, OURS_NEW, OURS_SLOT, OURS_FEATURES, THEIRS)
    draws = {name: _draws(sizes) for name in names}

    def read(source: Table, name: str) -> None:
        source.read(list(source.arrays), *next(draws[name]), paired=True)

    def read_slot() -> None:
        rows, slots = next(draws[OURS_SLOT])
        table.read(list(table.arrays), rows, slots[:1])

    def theirs() -> None:
        torch_records.read_regions(stored.files, *next(draws[THEIRS]))

    sides = [
        Side(OURS, lambda: read(table, OURS)),
        Side(OURS_NEW, lambda: read(open_unchecked(stored.table, ""), OURS_NEW)),
        Side(OURS_SLOT, read_slot),
    ]
    if stored.featured:
        featured = open_table(stored.featured)
        sides.append(Side(OURS_FEATURES, lambda: read(featured, OURS_FEATURES)))
    return [*sides, Side(THEIRS, theirs)]


def epoch_sides(stored: Stored, sizes: ConfigDict) -> list[Side]:
    """Return sides that read epochs of batches; ours reads several per run."""
    seeds = itertools.count()
    workers = sizes.workers or cores()
    batches = torch_records.loader(stored.files, sizes.images, sizes.batch, workers)

    def plain() -> None:
        shape = (sizes.images, sizes.regions, sizes.batch)
        for _ in torch_records.epoch(stored.files, *shape, seed=next(seeds)):
            pass

    def loaded() -> None:
        for _ in batches:
            pass

    ours = {OURS: stored.table}
    if stored.featured:
        ours[OURS_FEATURES] = stored.featured
    return [
        *(Side(name, _our_epochs(p, sizes), sizes.epochs) for name, p in ours.items()),
        Side(THEIRS, plain),
        Side(THEIRS_LOADER, loaded),
    ]


def bytes_a_region(stored: Stored) -> dict[str, float]:
    """Return bytes on disk per region, by the name of the side."""
    table = open_table(stored.table, "")
    regions = len(table.spec.images) * table.spec.regions
    folders = {OURS: stored.table, THEIRS: stored.files}
    if stored.featured:
        folders[OURS_FEATURES] = stored.featured
    return {name: _on_disk(folder) / regions for name, folder in folders.items()}


def _draws(sizes: ConfigDict) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield random rows and slots, the same for each side."""
    rng = np.random.default_rng(0)
    while True:
        rows = rng.integers(sizes.images, size=sizes.records)
        yield rows, rng.integers(sizes.regions, size=sizes.records)


def _our_epochs(path: Path, sizes: ConfigDict) -> Callable[[], None]:
    """Return a read of `epochs` epochs as in training, each with new slots."""
    rows = np.arange(sizes.images)
    labels = np.zeros(sizes.images, np.int32)
    plan = EpochPlan(sizes.epochs, 1, sizes.batch, "slab", seed=0)

    def run() -> None:
        # A newly opened table has an empty cache.
        for _ in epoch_iterator(open_unchecked(path), rows, labels, plan):
            pass

    return run


def _on_disk(folder: Path) -> int:
    """Return the bytes allocated to the files in a folder."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sum(file.stat().st_blocks * 512 for file in files)


def _section(
    sizes: ConfigDict,
    records: dict[int, list[Timing]],
    epochs: list[Timing],
    size: dict[int, dict[str, float]],
) -> Section:
    by_keep = {keep: {t.name: t for t in timed} for keep, timed in records.items()}
    epoch = {t.name: t for t in epochs}
    theirs = min(epoch[THEIRS].median, epoch[THEIRS_LOADER].median)
    factor = theirs / epoch[OURS].median
    worst = min(t[THEIRS].median / t[OURS].median for t in by_keep.values())
    targets = [
        Target(
            f"reading {sizes.records} random records, the worst K, ×",
            RECORDS_TARGET,
            worst,
        ),
        Target("reading an epoch, the faster of theirs, ×", EPOCH_TARGET, factor),
    ]
    lines = [
        f"{sizes.images} images, M = {sizes.regions}, C = {sizes.classes}; everything "
        "was just written, so both sides read from the system's cache.",
        "",
        f"{sizes.records} whole random records, ms: median (min – max). 'One slot' is "
        "the same slot of random images, as training reads:",
        "",
        *_record_table(by_keep),
        "",
        f"An epoch, one region of each image, batches of {sizes.batch}, "
        f"K = {sizes.epoch_keep}, ms:",
        "",
        *_epoch_table(epoch),
        "",
        "Bytes on disk a region:",
        "",
        *_size_table(size),
    ]
    data = {
        "records": {k: [t.to_json() for t in v] for k, v in records.items()},
        "epochs": [t.to_json() for t in epochs],
        "bytes_a_region": size,
    }
    return Section("Reading stored regions", lines, targets, data)


def _record_table(by_keep: dict[int, dict[str, Timing]]) -> list[str]:
    rows = []
    names = (OURS, OURS_NEW, OURS_SLOT, OURS_FEATURES, THEIRS)
    for keep, timed in by_keep.items():
        factor = timed[THEIRS].median / timed[OURS].median
        cells = [timed[n].shown() if n in timed else "" for n in names]
        rows.append([str(keep), *cells, f"{factor:.1f} ×"])
    return markdown_table(["K", *names, f"{THEIRS} / {OURS}"], rows)


def _epoch_table(epoch: dict[str, Timing]) -> list[str]:
    rows = [
        [name, t.shown(), f"{t.median / epoch[OURS].median:.1f} ×"]
        for name, t in epoch.items()
    ]
    return markdown_table(["side", "ms an epoch", f"/ {OURS}"], rows)


def _size_table(size: dict[int, dict[str, float]]) -> list[str]:
    names = (OURS, OURS_FEATURES, THEIRS)
    rows = [
        [str(keep), *(f"{found[n]:.1f}" if n in found else "" for n in names)]
        for keep, found in size.items()
    ]
    return markdown_table(["K", *names], rows)

"""Blocks of a table: claimed, cut, computed and written."""

import contextlib
import dataclasses
import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorstore as ts
from jaxtyping import Bool, UInt16

from fdbpl_jax.clip.model import Clip
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.progress import progress
from fdbpl_jax.ril import ledger, store
from fdbpl_jax.ril.compute import BuildModels, compute, load_models
from fdbpl_jax.ril.crops import BlockWork, check_images, cut_batches
from fdbpl_jax.ril.regions import draw_regions
from fdbpl_jax.ril.spec import ImageRecord, TableSpec

_THREADS = 16  # at most, unless asked for: each holds a batch of pixels


@dataclasses.dataclass(frozen=True)
class BuildSettings:
    """How one process builds: nothing that the table depends on."""

    batch_size: int = 128  # regions computed at once, at most
    workers: int = 0  # threads that decode and cut; 0: one per processor, up to 16
    shard: tuple[int, int] = (0, 1)  # index and count: every count-th block

    @property
    def threads(self) -> int:
        """The threads, by the number of processors if not asked for."""
        return self.workers or min(_THREADS, os.cpu_count() or 1)


DEFAULT_SETTINGS = BuildSettings()


@dataclasses.dataclass(frozen=True)
class Site:
    """A table under construction."""

    folder: ts.KvStore
    spec: TableSpec
    source: SourceImages
    teacher: Clip  # of the labels
    student: Clip | None  # of the features; None: none are wanted
    settings: BuildSettings

    @functools.cached_property
    def arrays(self) -> Mapping[str, ts.TensorStore]:
        """The arrays by name, created when missing."""
        return ledger.open_arrays(self.folder, self.spec)

    def images(self, block: int) -> Sequence[ImageRecord]:
        """The images of a block."""
        size = store.block_of(self.arrays["box"])
        return self.spec.images[block * size : (block + 1) * size]

    def missing(self, block: int) -> list[str]:
        """The arrays that lack their shard of this block."""
        return [n for n in self.arrays if not store.has_block(self.folder, n, block)]


def make_blocks(site: Site, blocks: Sequence[int]) -> int:
    """Build missing `blocks`, and wait for those others build; return regions built.

    A broken image, a full disk or a model that gives no finite numbers is a UserError;
    blocks finished before stay.
    """
    images = [image for block in blocks for image in site.images(block)]
    title = f"RIL table of {site.spec.dataset}"
    built, left = 0, list(blocks)
    check_images(site.source, images)
    with ThreadPoolExecutor(site.settings.threads) as pool:
        models = load_models(site.spec, site.teacher, site.student)
        with progress(title, len(images) * site.spec.regions, "region") as update:
            while left:
                now = _make_free(site, models, left, pool, update)
                built += now
                left = [block for block in left if site.missing(block)]
                if left and not now:  # other builders are working on them
                    time.sleep(1)
    return built


def fixed_batch(batch_size: int, regions: int) -> int:
    """Choose a batch, a multiple of 8 if possible, that wastes least on `regions`."""
    batch = -(-regions // -(-regions // batch_size))
    return min(-(-batch // 8) * 8, batch_size)


def _make_free(
    site: Site,
    models: BuildModels,
    blocks: Sequence[int],
    pool: ThreadPoolExecutor,
    update: Callable[[int], object],
) -> int:
    """Build the blocks that no other builder has claimed; return regions built."""
    claims: dict[int, contextlib.ExitStack] = {}
    block_regions = len(site.images(0)) * site.spec.regions
    batch = fixed_batch(site.settings.batch_size, block_regions)
    built = 0
    try:
        work = _claimed(site, blocks, claims)
        cut = cut_batches(pool, site.settings.threads + 2, site.source, work, batch)
        for done, values in compute(site.spec, models, cut):
            _write(site, done, values)
            claims.pop(done.block).close()
            built += done.flip.size
            update(done.flip.size)
    finally:
        for stack in claims.values():
            stack.close()
    return built


def _claimed(
    site: Site, blocks: Sequence[int], claims: dict[int, contextlib.ExitStack]
) -> Iterator[BlockWork]:
    """Claim blocks one by one, and plan the work on each."""
    locks = ledger.lock_folder(site.folder)
    for block in blocks:
        with contextlib.ExitStack() as stack:
            with store.store_errors(site.folder, "building"):
                free = stack.enter_context(ledger.claim(locks, block))
            missing = site.missing(block) if free else []
            if not missing:
                continue
            work = _work(site, block, missing)
            claims[block] = stack.pop_all()
        yield work


def _work(site: Site, block: int, missing: Sequence[str]) -> BlockWork:
    labels = any(not name.startswith("feature/") for name in missing)
    features = any(name.startswith("feature/") for name in missing)
    box, flip = _regions(site, block, missing)
    needed = [(labels, site.teacher), (features, site.student)]
    return BlockWork(
        block=block,
        missing=missing,
        images=site.images(block),
        box=box,
        flip=flip,
        labels=labels,
        features=features,
        sizes=frozenset(clip.image.size for need, clip in needed if need and clip),
        cut=site.spec.cut,
    )


def _regions(
    site: Site, block: int, missing: Sequence[str]
) -> tuple[UInt16[np.ndarray, "n M 4"], Bool[np.ndarray, "n M"]]:
    spec, images, names = site.spec, site.images(block), ("box", "flip")
    if set(names) & set(missing):
        draw = functools.partial(draw_regions, spec.crop, spec.seed)
        drawn = [draw(i.hash, i.size, range(spec.regions)) for i in images]
        box, flip = zip(*drawn, strict=True)
        return np.stack(box), np.stack(flip)
    # The stored labels are of these regions, whatever would be drawn today.
    first = block * store.block_of(site.arrays["box"])
    values = []
    for name in names:
        with store.store_errors(site.folder, name):
            rows = site.arrays[name][first : first + len(images)]
            values.append(rows.read().result())
    return values[0], values[1]


def _write(site: Site, work: BlockWork, values: dict[str, np.ndarray]) -> None:
    values |= {"box": work.box, "flip": work.flip}
    # Only what is missing: a block with all its shards has no write under way.
    writes = {
        name: values[name.partition("/")[0]].astype(site.arrays[name].dtype.numpy_dtype)
        for name in work.missing
    }
    store.write_block(site.folder, site.arrays, work.block, writes)

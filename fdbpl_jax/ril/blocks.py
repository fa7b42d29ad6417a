"""Makes blocks of a table: claim, cut, compute, write. Knows nothing of manifests."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorstore as ts
from jaxtyping import Bool, UInt16

from fdbpl_jax.clip.model import Clip
from fdbpl_jax.errors import UserError
from fdbpl_jax.ril import store
from fdbpl_jax.ril.compute import Models, compute, load_models
from fdbpl_jax.ril.crops import BlockWork, check_images, cut_batches
from fdbpl_jax.ril.lock import claim
from fdbpl_jax.ril.progress import Progress
from fdbpl_jax.ril.regions import draw_regions
from fdbpl_jax.ril.spec import ImageRecord, TableSpec

_POLL_SECONDS = 1.0  # between looks at blocks that other builders have in work


@dataclasses.dataclass(frozen=True)
class Site:
    """A table in the making."""

    folder: ts.KvStore
    locks: Path | None  # folder of the builders' claims; None: there are none
    spec: TableSpec
    arrays: Mapping[str, ts.TensorStore]
    root: Path  # of the images
    teacher: Clip | None  # makes the labels; None: they must be there
    student: Clip | None  # makes the features; None: none are wanted
    batch_size: int
    workers: int  # threads that decode and cut

    def images(self, block: int) -> Sequence[ImageRecord]:
        """The images of a block."""
        size = store.block_of(self.arrays["box"])
        return self.spec.images[block * size : (block + 1) * size]

    def missing(self, block: int) -> list[str]:
        """The arrays whose shard of this block is not there."""
        return [n for n in self.arrays if not store.has_block(self.folder, n, block)]


def make_blocks(site: Site, blocks: Sequence[int]) -> int:
    """Makes those of `blocks` that are not there, and waits for those others make.

    Returns:
      Regions that were made here.

    Raises:
      UserError: a broken image, a full disk, a model that gives no finite numbers;
        blocks finished before stay.
    """
    images = [image for block in blocks for image in site.images(block)]
    title = f"RIL table of {site.spec.dataset}"
    made, left = 0, list(blocks)
    with ThreadPoolExecutor(site.workers) as pool:
        check_images(pool, site.root, images)
        models = load_models(site.spec, site.teacher, site.student)
        with Progress(title, len(images) * site.spec.regions) as progress:
            while left:
                now = _make_free(site, models, left, pool, progress)
                made += now
                left = [block for block in left if site.missing(block)]
                if left and not now:
                    time.sleep(_POLL_SECONDS)
    return made


def fixed_batch(batch_size: int, regions: int) -> int:
    """The batch of at most `batch_size` that fits a block's `regions` with least waste.

    It is a multiple of 8 where that is possible.
    """
    batch = -(-regions // -(-regions // batch_size))
    return min(-(-batch // 8) * 8, batch_size)


def _make_free(
    site: Site,
    models: Models,
    blocks: Sequence[int],
    pool: ThreadPoolExecutor,
    progress: Progress,
) -> int:
    """Makes the blocks that no other builder has claimed; returns regions made."""
    claims: dict[int, contextlib.ExitStack] = {}
    block_regions = len(site.images(0)) * site.spec.regions
    batch = fixed_batch(site.batch_size, block_regions)
    made = 0
    try:
        work = _claimed(site, blocks, claims)
        cut = cut_batches(pool, site.workers + 2, site.root, work, batch)
        for done, values in compute(site.spec, models, cut):
            _write(site, done, values)
            claims.pop(done.block).close()
            made += done.flip.size
            progress.update(done.flip.size)
    finally:
        for stack in claims.values():
            stack.close()
    return made


def _claimed(
    site: Site, blocks: Sequence[int], claims: dict[int, contextlib.ExitStack]
) -> Iterator[BlockWork]:
    """Claims blocks one by one, and says what is to be made of each."""
    for block in blocks:
        with contextlib.ExitStack() as stack:
            with store.store_errors(site.folder, "building"):
                free = stack.enter_context(claim(site.locks, block))
            missing = site.missing(block) if free else []
            if not missing:
                continue
            work = _work(site, block, missing)
            claims[block] = stack.pop_all()
        yield work


def _work(site: Site, block: int, missing: Sequence[str]) -> BlockWork:
    labels = any(not name.startswith("feature/") for name in missing)
    features = any(name.startswith("feature/") for name in missing)
    if labels and site.teacher is None:
        raise UserError(
            f"RIL table '{site.folder.path}' has lost a part of {missing[0]}",
            "Run the build with the table's teacher: it makes what is missing.",
        )
    drawn = "box" in missing or "flip" in missing
    box, flip = _draw(site, block) if drawn else _read_regions(site, block)
    needed = [(labels, site.teacher), (features, site.student)]
    sizes = frozenset(clip.image.size for need, clip in needed if need and clip)
    images = site.images(block)
    how = labels, features, sizes, site.spec.cut
    return BlockWork(block, missing, images, box, flip, *how)


def _draw(
    site: Site, block: int
) -> tuple[UInt16[np.ndarray, "n M 4"], Bool[np.ndarray, "n M"]]:
    spec = site.spec
    drawn = [
        draw_regions(spec.crop, spec.seed, image.hash, image.size, range(spec.regions))
        for image in site.images(block)
    ]
    return np.stack([box for box, _ in drawn]), np.stack([flip for _, flip in drawn])


def _read_regions(
    site: Site, block: int
) -> tuple[UInt16[np.ndarray, "n M 4"], Bool[np.ndarray, "n M"]]:
    # What is stored is what the labels are of, whatever would be drawn today.
    first = block * store.block_of(site.arrays["box"])
    rows = slice(first, first + len(site.images(block)))
    found = []
    for name in ("box", "flip"):
        with store.store_errors(site.folder, name):
            found.append(site.arrays[name][rows].read().result())
    return found[0], found[1]


def _write(site: Site, work: BlockWork, values: dict[str, np.ndarray]) -> None:
    values |= {"box": work.box, "flip": work.flip}
    writes = {}
    # Not what is there already: a block with all its shards has no write under way.
    for name in work.missing:
        value = values["feature" if name.startswith("feature/") else name]
        writes[name] = value.astype(site.arrays[name].dtype.numpy_dtype)
    store.write_block(site.folder, site.arrays, work.block, writes)

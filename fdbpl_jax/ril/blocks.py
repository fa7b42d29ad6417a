"""Makes blocks of a table: cut, teacher, student, write. Knows nothing of manifests."""

import contextlib
import dataclasses
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import tensorstore as ts

from fdbpl_jax.clip.model import Clip, image_features, text_features
from fdbpl_jax.data.types import prompt_name
from fdbpl_jax.errors import UserError
from fdbpl_jax.ril import store
from fdbpl_jax.ril.crops import BlockRegions, CutBatch, check_images, cut_batches
from fdbpl_jax.ril.labels import soft_labels
from fdbpl_jax.ril.lock import claim
from fdbpl_jax.ril.manifest import feature_name
from fdbpl_jax.ril.progress import Progress
from fdbpl_jax.ril.regions import draw_regions
from fdbpl_jax.ril.spec import ImageRecord, TableSpec

_POLL_SECONDS = 1.0  # between looks at blocks that other builders have in work
_IN_FLIGHT = 2  # batches given to the device before the first is fetched


@dataclasses.dataclass(frozen=True)
class Site:
    """A table being built. `teacher` makes the labels, `student` the features."""

    folder: ts.KvStore
    spec: TableSpec
    arrays: Mapping[str, ts.TensorStore]
    root: Path  # of the images
    teacher: Clip | None
    student: Clip | None
    batch_size: int
    workers: int  # threads

    @property
    def label_names(self) -> list[str]:
        """The arrays that the teacher's word and the regions go into."""
        return [name for name in self.arrays if not name.startswith("feature/")]

    @property
    def feature_names(self) -> list[str]:
        """The array of the student's features, if there is a student."""
        return [name for name in self.arrays if name.startswith("feature/")]

    def images(self, block: int) -> Sequence[ImageRecord]:
        """The images of a block."""
        size = store.block_of(self.arrays["box"])
        return self.spec.images[block * size : (block + 1) * size]


def make_blocks(site: Site, blocks: Sequence[int]) -> int:
    """Makes those of `blocks` that are not there; others' claims are waited for.

    Returns:
      Regions that were made here.

    Raises:
      UserError: a broken image, a full disk, a model that gives no finite numbers;
        blocks finished before stay.
    """
    images = [image for block in blocks for image in site.images(block)]
    with ThreadPoolExecutor(site.workers) as pool:
        check_images(pool, site.root, images)
        title = f"RIL table of {site.spec.dataset}"
        with Progress(title, len(images) * site.spec.regions) as progress:
            made, left = 0, list(blocks)
            while left:
                now = _make_free(site, left, pool, progress)
                made += now
                left = [block for block in left if missing(site, block)]
                if left and not now:
                    time.sleep(_POLL_SECONDS)
    return made


def missing(site: Site, block: int) -> list[str]:
    """The arrays whose shard of this block is not there."""
    return [n for n in site.arrays if not store.has_block(site.folder, n, block)]


def fixed_batch(batch_size: int, regions: int) -> int:
    """A batch near `batch_size` that leaves little of the last one of a block empty.

    Args:
      batch_size: at most.
      regions: of a block.
    """
    batch = -(-regions // -(-regions // batch_size))
    return min(-(-batch // 8) * 8, batch_size)


def _make_free(
    site: Site, blocks: Sequence[int], pool: ThreadPoolExecutor, progress: Progress
) -> int:
    """Makes the blocks that no other builder has claimed; returns regions made."""
    held: dict[int, contextlib.ExitStack] = {}
    wanted: dict[int, list[str]] = {}
    shape = site.arrays["flip"].shape
    batch = fixed_batch(
        site.batch_size, min(store.block_of(site.arrays["flip"]), shape[0]) * shape[1]
    )
    made = 0
    try:
        work = _claimed(site, blocks, held, wanted)
        cut = cut_batches(pool, site.workers + 2, site.root, work, batch)
        for block, values in _computed(site, cut, wanted):
            _refuse_not_finite(site, block, values)
            store.write_block(site.folder, site.arrays, block, values)
            held.pop(block).close()
            regions = len(site.images(block)) * site.spec.regions
            made += regions
            progress.update(regions)
    finally:
        for stack in held.values():
            stack.close()
    return made


def _claimed(
    site: Site,
    blocks: Sequence[int],
    held: dict[int, contextlib.ExitStack],
    wanted: dict[int, list[str]],
) -> Iterator[BlockRegions]:
    local = store.local_folder(site.folder.path) if _is_local(site.folder) else None
    for block in blocks:
        stack = contextlib.ExitStack()
        free = stack.enter_context(claim(local and local / "building", block))
        absent = missing(site, block) if free else []
        if not absent:
            stack.close()
            continue
        held[block], wanted[block] = stack, absent
        yield _regions(site, block, absent)


def _is_local(folder: ts.KvStore) -> bool:
    return folder.spec().to_json()["driver"] == "file"


def _regions(site: Site, block: int, absent: Sequence[str]) -> BlockRegions:
    images = site.images(block)
    if "box" in absent or "flip" in absent:
        slots, spec = range(site.spec.regions), site.spec
        drawn = [
            draw_regions(spec.crop, spec.seed, image.hash, image.size, slots)
            for image in images
        ]
        box, flip = (np.stack(part) for part in zip(*drawn, strict=True))
    else:
        first = block * store.block_of(site.arrays["box"])
        rows = slice(first, first + len(images))
        with store.store_errors(site.folder, "box"):
            box = site.arrays["box"][rows].read().result()
        with store.store_errors(site.folder, "flip"):
            flip = site.arrays["flip"][rows].read().result()
    clips = _clips(site, absent)
    return BlockRegions(
        block, images, box, flip, frozenset(clip.image.size for clip in clips)
    )


def _clips(site: Site, absent: Sequence[str]) -> list[Clip]:
    """The models that are needed for the arrays in `absent`."""
    pairs = ((site.label_names, site.teacher), (site.feature_names, site.student))
    clips = []
    for names, clip in pairs:
        lost = set(names) & set(absent)
        if lost and clip is None:
            raise UserError(
                f"RIL table '{site.folder.path}' has lost parts of {sorted(lost)}",
                "Run the command that built it again; it makes what is missing.",
            )
        if lost and clip is not None:
            clips.append(clip)
    return clips

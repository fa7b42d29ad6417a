"""Batches of cut regions, prepared in threads ahead of the device.

An image is decoded once, however many batches its regions fall into; a batch has the
same shape each time, so that nothing is compiled twice.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jax import Array
from jaxtyping import Bool, UInt16
from PIL import Image

from fdbpl_jax.data.images import all_broken, content_hash, read_image
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.errors import UserError
from fdbpl_jax.ril.device_crops import cut_image, take_batch
from fdbpl_jax.ril.regions import crop_region
from fdbpl_jax.ril.spec import ImageRecord


class BlockWork(NamedTuple):
    """A block of n images whose regions are to be cut, and what for."""

    block: int
    missing: Sequence[str]  # arrays to be written
    images: Sequence[ImageRecord]
    box: UInt16[np.ndarray, "n M 4"]
    flip: Bool[np.ndarray, "n M"]
    labels: bool  # whether the teacher labels the regions
    features: bool  # whether the student encodes them
    sizes: frozenset[int]  # pixels, to cut at
    cut: str  # on the "host", by Pillow, or on the "device"


class CutBatch(NamedTuple):
    """Consecutive regions of a block, counted through its images."""

    work: BlockWork
    start: int
    stop: int
    pixels: Mapping[int, np.ndarray | Array]  # by size S, uint8 [B S S 3]; padded to B


def cut_batches(
    pool: ThreadPoolExecutor,
    ahead: int,
    source: SourceImages,
    blocks: Iterable[BlockWork],
    batch: int,
) -> Iterator[CutBatch]:
    """Cut all regions of all blocks, in order, `ahead` batches of B in advance.

    A batch never spans two blocks: what is computed together does not depend on which
    blocks were finished before. Blocks are taken one at a time, as threads become free.

    Raises:
      UserError: an image cannot be read, or is not the one that was recorded.
    """
    queue: deque[Future[CutBatch]] = deque()
    try:
        for work in blocks:
            for future in _submit_block(pool, source, work, batch):
                queue.append(future)
                if len(queue) > ahead:
                    yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        for future in queue:
            future.cancel()


def check_images(source: SourceImages, images: Sequence[ImageRecord]) -> None:
    """Check all images before hours of computing; UserError lists the broken ones.

    Those that were decoded before, in this run or one on record, are only looked up.
    """
    facts = source.facts([image.path for image in images])
    sizes = [(fact.height, fact.width) for fact in facts]
    changed = [
        _changed(source.root, image, size)
        for image, size in zip(images, sizes, strict=True)
        if size != image.size
    ]
    if changed:
        raise all_broken(changed)


def _submit_block(
    pool: ThreadPoolExecutor, source: SourceImages, work: BlockWork, batch: int
) -> Iterator[Future[CutBatch]]:
    images, regions = work.flip.shape
    open_image: Callable = _upload if work.cut == "device" else _open
    cut: Callable = _cut_on_device if work.cut == "device" else _cut_on_host
    decoded: dict[int, Future] = {}
    for start in range(0, images * regions, batch):
        stop = min(start + batch, images * regions)
        touched = range(start // regions, (stop - 1) // regions + 1)
        # A thread that cuts may wait for these: they were submitted before it, so
        # another thread works on them.
        decoded = {
            image: decoded.get(image) or pool.submit(open_image, source, work, image)
            for image in touched
        }
        yield pool.submit(cut, work, start, stop, batch, decoded)


def decode(root: Path, image: ImageRecord) -> Image.Image:
    """Decode one image of a table; UserError if it is unreadable or of another size."""
    return _same_size(root, image, read_image(root, image.path))


def _same_size(root: Path, image: ImageRecord, decoded: Image.Image) -> Image.Image:
    size = decoded.height, decoded.width
    if size != image.size:
        raise _changed(root, image, size)
    return decoded


def _changed(root: Path, image: ImageRecord, size: tuple[int, int]) -> UserError:
    return UserError(
        f"image '{root / image.path}' is {size[0]}×{size[1]} pixels, "
        f"and was {image.size[0]}×{image.size[1]} when the table was begun",
        "Put the former image back, or delete the table and build it again.",
    )


def decode_unchanged(root: Path, image: ImageRecord) -> Image.Image:
    """Decode one image of a table; UserError if it is unreadable or has changed."""
    if content_hash(root, image.path) != image.hash:
        raise UserError(
            f"image '{root / image.path}' is not the one that the table was made from",
            "Put the former image back, or build a table of the present images.",
        )
    return decode(root, image)


def _open(source: SourceImages, work: BlockWork, image: int) -> Image.Image:
    record = work.images[image]
    return _same_size(source.root, record, source.image(record.path))


def _upload(source: SourceImages, work: BlockWork, image: int) -> dict[int, Array]:
    """All regions of an image, cut on the device, by their size in pixels."""
    decoded = _open(source, work, image)
    box, flip = work.box[image], work.flip[image]
    return {size: cut_image(decoded, box, flip, size) for size in work.sizes}


def _cut_on_device(
    work: BlockWork, start: int, stop: int, batch: int, uploaded: Mapping[int, Future]
) -> CutBatch:
    regions = work.flip.shape[1]
    first, offset = start // regions, np.int32(start % regions)
    # As many images for every batch, so that one program takes all of them.
    most = -(-(batch - 1) // regions) + 1
    last = max(uploaded)
    images = [uploaded[min(first + i, last)].result() for i in range(most)]
    pixels = {
        size: take_batch(tuple(image[size] for image in images), offset, batch)
        for size in work.sizes
    }
    return CutBatch(work, start, stop, pixels)


def _cut_on_host(
    work: BlockWork, start: int, stop: int, batch: int, decoded: Mapping[int, Future]
) -> CutBatch:
    pixels = {size: np.zeros((batch, size, size, 3), np.uint8) for size in work.sizes}
    for place, region in enumerate(range(start, stop)):
        row, slot = divmod(region, work.flip.shape[1])
        image = decoded[row].result()
        box, flip = work.box[row, slot], bool(work.flip[row, slot])
        for size, out in pixels.items():
            out[place] = crop_region(image, box, flip, size)
    return CutBatch(work, start, stop, pixels)

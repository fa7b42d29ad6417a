"""Frozen image features of a list of examples, computed once and kept on disk."""

import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from absl import logging
from jaxtyping import Array, Float, UInt8
from PIL import Image
from tqdm import tqdm

from fdbpl_jax.clip.image import preprocess
from fdbpl_jax.clip.model import Clip, image_features
from fdbpl_jax.data.images import all_broken, read_image
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.data.types import Dataset, Example, first_few
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.feature_file import candidates, feature_file

_BATCH = 64  # one shape, so one compilation, however many images
_THREADS = 16

In = TypeVar("In")
Out = TypeVar("Out")
Encode = Callable[[UInt8[np.ndarray, "B S S 3"]], Float[Array, "B D"]]


class _Tower(NamedTuple):
    clip: Clip
    encode: Encode


def split_features(
    clip: Clip, dataset: Dataset, examples: Sequence[Example], cache: Path
) -> Float[np.ndarray, "N D"]:
    """Compute `tower_features` of one model and images that are not on record."""
    return tower_features([clip], SourceImages(dataset.root), examples, cache)[0]


def tower_features(
    clips: Sequence[Clip],
    images: SourceImages,
    examples: Sequence[Example],
    cache: Path,
) -> list[Float[np.ndarray, "N D"]]:
    """Compute the L2-normalised features of images, resized and centre-cropped.

    They are kept in `cache`, one file per fingerprint of (model, paths, contents of the
    images). A file that is damaged or not of this list is not trusted: it is computed
    again, with a logged warning. An image is decoded once for all models, and read not
    at all where its content is on record and all features are kept.

    Returns the float32 features of each model, row n of example n.

    Raises:
      UserError: listing the images that cannot be read, or if a feature is not finite.
    """
    if not examples:
        return [np.zeros((0, clip.config.projection), np.float32) for clip in clips]
    paths = [example.path for example in examples]
    features = _read(clips, images, paths, cache)
    missing = [c for c, values in zip(clips, features, strict=True) if values is None]
    computed = iter(_compute_and_keep(missing, images, paths, cache))
    return [next(computed) if values is None else values for values in features]


def are_kept(
    clip: Clip, images: SourceImages, examples: Sequence[Example], cache: Path
) -> bool:
    """Whether there is a file of what `tower_features` would compute.

    Raises:
      UserError: listing the images that cannot be read.
    """
    paths = [example.path for example in examples]
    files = candidates(cache, clip, len(paths))
    if not files or not _may_be_kept(clip, images, paths, cache):
        return False
    contents = zip(paths, images.hashes(paths), strict=True)
    return feature_file(cache, clip, contents).path.exists()


def _may_be_kept(
    clip: Clip, images: SourceImages, paths: Sequence[str], cache: Path
) -> bool:
    """Whether it is worth reading images that no run has read, to know a file's name.

    What this run has written is of other images. Without a record every run reads them.
    """
    if not images.are_new(paths):
        return True
    files = list(cache.glob("*.npz"))
    if images.keeps_record:
        files = candidates(cache, clip, len(paths))
    return any(file.stat().st_mtime_ns < images.opened_ns for file in files)


def _read(
    clips: Sequence[Clip], images: SourceImages, paths: Sequence[str], cache: Path
) -> list[Float[np.ndarray, "N D"] | None]:
    """The kept features of each model; None where there are none."""
    if not any(_may_be_kept(clip, images, paths, cache) for clip in clips):
        return [None] * len(clips)
    contents = list(zip(paths, images.hashes(paths), strict=True))
    return [feature_file(cache, clip, contents).read(len(paths)) for clip in clips]


def _compute_and_keep(
    clips: Sequence[Clip], images: SourceImages, paths: Sequence[str], cache: Path
) -> list[Float[np.ndarray, "N D"]]:
    if not clips:
        return []
    names = " and ".join(clip.name for clip in clips)
    logging.info("%s: image features of %d images", names, len(paths))
    hashes: dict[str, str] = {}

    def read(path: str) -> Image.Image:
        image, facts = images.read(path)
        hashes[path] = facts.hash
        return image

    towers = [_Tower(clip, partial(image_features, clip)) for clip in clips]
    features = _compute(read, paths, towers)
    images.save()
    contents = [(path, hashes[path]) for path in paths]  # of what was really encoded
    for clip, values in zip(clips, features, strict=True):
        feature_file(cache, clip, contents).write(values)
    return features


def encoded(
    clip: Clip, dataset: Dataset, examples: Sequence[Example], encode: Encode
) -> Float[np.ndarray, "N D"]:
    """Compute what `encode` makes of the same images; nothing is kept.

    Args:
      clip: whose size of images it is.
      encode: features of images, such as those under prompts; each of its batches is
        of the same size.

    Returns float32 features, row n of example n; raises as `tower_features`.
    """
    paths = [example.path for example in examples]
    return encoded_images(clip, paths, partial(read_image, dataset.root), encode)


def encoded_images(
    clip: Clip,
    images: Sequence[In],
    read: Callable[[In], Image.Image],
    encode: Encode,
) -> Float[np.ndarray, "N D"]:
    """Compute `encode` of images that `read` decodes, resized and centre-cropped.

    Raises:
      UserError: as `tower_features`.
    """
    if not images:
        return np.zeros((0, clip.config.projection), np.float32)
    return _compute(read, images, [_Tower(clip, encode)])[0]


def _compute(
    read: Callable[[In], Image.Image], paths: Sequence[In], towers: Sequence[_Tower]
) -> list[Float[np.ndarray, "N D"]]:
    """The features of every tower; an image is read once for all of them."""

    def prepared(path: In) -> list[UInt8[np.ndarray, "S S 3"]]:
        image = read(path)
        return [preprocess(image, tower.clip.image) for tower in towers]

    features: list[list[Float[np.ndarray, "b D"]]] = [[] for _ in towers]
    # Of a single batch there is no progress: `predict` shows that of all its batches.
    is_long = len(paths) > _BATCH
    is_shown = is_long and sys.stderr.isatty()
    progress = tqdm(total=len(paths), unit="image", disable=not is_shown)
    with ThreadPoolExecutor(_THREADS) as pool, progress as bar:
        images = _readable(ahead(pool, prepared, paths, 2 * _BATCH))
        done = 0
        while batch := list(itertools.islice(images, _BATCH)):
            for tower, pixels, values in zip(
                towers, zip(*batch, strict=True), features, strict=True
            ):
                values.append(_encode(tower, pixels))
            done += len(batch)
            bar.update(len(batch))
            if is_long:
                logging.log_every_n_seconds(
                    logging.INFO, "image features: %d of %d", 30, done, len(paths)
                )
    joined = [np.concatenate(parts).astype(np.float32) for parts in features]
    for tower, rows in zip(towers, joined, strict=True):
        _check_finite(tower.clip, rows, paths)
    return joined


def _encode(
    tower: _Tower, images: Sequence[UInt8[np.ndarray, "S S 3"]]
) -> Float[np.ndarray, "b D"]:
    padded = np.zeros((_BATCH, *images[0].shape), np.uint8)
    padded[: len(images)] = np.stack(images)
    return np.asarray(tower.encode(padded))[: len(images)]


def _check_finite(
    clip: Clip, features: Float[np.ndarray, "N D"], paths: Sequence[object]
) -> None:
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if bad.size:
        raise UserError(
            f"model '{clip.name}' gives no finite feature for {bad.size} images: "
            f"{first_few([paths[row] for row in bad.tolist()])}",
            "Check the model's weights.",
        )


def ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[In], Out],
    items: Iterable[In],
    depth: int,
) -> Iterator[Future[Out]]:
    """Apply a function to items in order, at most `depth` ahead of the reader."""
    # `pool.map` would start everything at once and hold every decoded image.
    queue: deque[Future[Out]] = deque()
    for item in items:
        queue.append(pool.submit(function, item))
        if len(queue) > depth:
            yield queue.popleft()
    yield from queue


def _readable(futures: Iterable[Future[Out]]) -> Iterator[Out]:
    # After the first broken image, only look for the others, to name them all at once.
    broken: list[UserError] = []
    for future in futures:
        try:
            value = future.result()
        except UserError as error:
            broken.append(error)
            continue
        if not broken:
            yield value
    if broken:
        raise all_broken(broken)

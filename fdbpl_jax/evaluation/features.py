"""Frozen image features of a list of examples, computed once and kept on disk."""

import contextlib
import hashlib
import os
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from absl import logging
from jaxtyping import Array, Float, UInt8
from tqdm import tqdm

from fdbpl_jax.clip.image import preprocess
from fdbpl_jax.clip.model import Clip, image_features
from fdbpl_jax.data.images import all_broken, content_hash, read_image
from fdbpl_jax.data.types import Dataset, Example, first_few
from fdbpl_jax.errors import UserError

_BATCH = 64  # one shape, so one compilation, however many images
_THREADS = 16
_OVERHEAD = 4096  # bytes of a kept file beside the features, at most
_FORMAT = "fdbpl_jax image features 1"

In = TypeVar("In")
Out = TypeVar("Out")


def split_features(
    clip: Clip, dataset: Dataset, examples: Sequence[Example], cache: Path
) -> Float[np.ndarray, "N D"]:
    """The L2-normalised features of whole images, resized and centre-cropped.

    They are kept in `cache`, one file for each fingerprint of (model, paths, contents
    of the images). A file that is damaged or not of this list is not trusted: it is
    computed again, with a logged warning.

    Args:
      clip: the frozen model.
      dataset: where the images are.
      examples: which of its images, in the order wanted.
      cache: folder of the kept features; made when missing.

    Returns:
      float32 features, row n of example n.

    Raises:
      UserError: listing the images that cannot be read, or if a feature is not finite.
    """
    if not examples:
        return np.zeros((0, clip.config.projection), np.float32)
    with ThreadPoolExecutor(_THREADS) as pool:
        fingerprint = _fingerprint(pool, clip, dataset.root, examples)
        file = _file(cache, fingerprint)
        kept = _load(file, fingerprint, len(examples))
        if kept is not None:
            return kept
        logging.info("%s: image features of %d images", clip.name, len(examples))
        encode = partial(image_features, clip)
        features = _compute(pool, clip, dataset.root, examples, encode)
    _save(file, fingerprint, features)
    return features


def are_kept(
    clip: Clip, dataset: Dataset, examples: Sequence[Example], cache: Path
) -> bool:
    """Whether there is a file of what `split_features` would compute.

    Raises:
      UserError: listing the images that cannot be read.
    """
    size = 4 * len(examples) * clip.config.projection
    beside = [file.stat().st_size - size for file in cache.glob("*.npz")]
    # All images are read to know the file's name: not where none is of this size.
    if not any(0 < rest < _OVERHEAD for rest in beside):
        return False
    with ThreadPoolExecutor(_THREADS) as pool:
        fingerprint = _fingerprint(pool, clip, dataset.root, examples)
    return _file(cache, fingerprint).exists()


def encoded(
    clip: Clip,
    dataset: Dataset,
    examples: Sequence[Example],
    encode: Callable[[UInt8[np.ndarray, "B S S 3"]], Float[Array, "B D"]],
) -> Float[np.ndarray, "N D"]:
    """What `encode` makes of the same images; nothing is kept.

    Args:
      clip, dataset, examples: as in `split_features`.
      encode: features of images, such as those under prompts; each of its batches is
        of the same size.

    Returns:
      float32 features, row n of example n.

    Raises:
      UserError: as `split_features`.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        return _compute(pool, clip, dataset.root, examples, encode)


def _file(cache: Path, fingerprint: str) -> Path:
    return cache / f"{fingerprint[:32]}.npz"


def _fingerprint(
    pool: ThreadPoolExecutor, clip: Clip, root: Path, examples: Sequence[Example]
) -> str:
    whole = hashlib.sha256(f"{_FORMAT}\0{clip.fingerprint}\0{clip.dtype}".encode())
    paths = [example.path for example in examples]
    hashes = _readable(_ahead(pool, partial(content_hash, root), paths, len(paths)))
    for path, content in zip(paths, hashes, strict=True):
        whole.update(f"\0{path}\0{content}".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _compute(
    pool: ThreadPoolExecutor,
    clip: Clip,
    root: Path,
    examples: Sequence[Example],
    encode: Callable[[UInt8[np.ndarray, "B S S 3"]], Float[Array, "B D"]],
) -> Float[np.ndarray, "N D"]:
    def pixels(example: Example) -> UInt8[np.ndarray, "S S 3"]:
        return preprocess(read_image(root, example.path), clip.image.size)

    features = []
    images = _readable(_ahead(pool, pixels, examples, 2 * _BATCH))
    with tqdm(
        total=len(examples), unit="image", disable=not sys.stderr.isatty()
    ) as bar:
        for batch in _batches(images):
            padded = np.zeros((_BATCH, *batch.shape[1:]), np.uint8)
            padded[: len(batch)] = batch
            features.append(np.asarray(encode(padded))[: len(batch)])
            bar.update(len(batch))
            done = sum(map(len, features))
            logging.log_every_n_seconds(
                logging.INFO, "image features: %d of %d", 30, done, len(examples)
            )
    whole = np.concatenate(features).astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(whole).all(axis=1))
    if bad.size:
        paths = [examples[row].path for row in bad]
        raise UserError(
            f"model '{clip.name}' gives no finite feature for {bad.size} images: "
            f"{first_few(paths)}",
            "Check the model's weights.",
        )
    return whole


def _ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[In], Out],
    items: Iterable[In],
    depth: int,
) -> Iterator[Future[Out]]:
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


def _batches(
    images: Iterable[UInt8[np.ndarray, "S S 3"]],
) -> Iterator[UInt8[np.ndarray, "b S S 3"]]:
    batch = []
    for image in images:
        batch.append(image)
        if len(batch) == _BATCH:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def _digest(fingerprint: str, features: Float[np.ndarray, "N D"]) -> str:
    # With the fingerprint inside, a file under another's name is found out too.
    whole = hashlib.sha256(f"{fingerprint}\0{features.shape}\0".encode())
    whole.update(np.ascontiguousarray(features))
    return whole.hexdigest()


def _load(file: Path, fingerprint: str, images: int) -> np.ndarray | None:
    if not file.exists():
        return None
    try:
        # Opened here, because np.load leaves a damaged archive open.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            features, digest = kept["features"], str(kept["sha256"])
    # What a damaged archive raises depends on where the damage is.
    except Exception as error:
        logging.warning("'%s' is damaged (%s): computing it again", file, error)
        return None
    whole = features.dtype == np.float32 and features.shape[:1] == (images,)
    if not whole or digest != _digest(fingerprint, features):
        logging.warning("'%s' is not what was kept there: computing it again", file)
        return None
    return features


def _save(file: Path, fingerprint: str, features: Float[np.ndarray, "N D"]) -> None:
    part = file.with_name(f"{file.name}.{uuid.uuid4().hex}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            digest = np.array(_digest(fingerprint, features))
            np.savez(stream, features=features, sha256=digest)
        os.replace(part, file)
    except OSError as error:
        # The features are right all the same; only the next run has to wait again.
        logging.warning("cannot keep image features in '%s': %s", file, error)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()

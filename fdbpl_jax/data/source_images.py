"""Image files of a data root: checked, hashed and measured by one reading of each.

What a reading found is kept in a file, by the path, size and modification time of the
image, so that the next run reads only what has changed.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec
from absl import logging
from PIL import Image

from fdbpl_jax.data.images import all_broken, content_hash, read_hashed, unreadable
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import write_bytes

_THREADS = 16  # reading, hashing and decoding release the GIL
_MEMORY = 256 << 20  # bytes of decoded images that are handed on

Out = TypeVar("Out")


class ImageFacts(msgspec.Struct, frozen=True, array_like=True):
    """An image file as it was when it was read."""

    size: int  # of the file, in bytes
    mtime_ns: int
    hash: str  # SHA-256 of the file, in hex
    height: int  # of the upright image, in pixels; 0: hashed and not decoded
    width: int


_DECODER = msgspec.json.Decoder(dict[str, ImageFacts])


class SourceImages:
    """The images of a data root, each read once however often it is asked for.

    Safe to use from several threads.
    """

    def __init__(
        self, root: Path, record: Path | None = None, memory: int = _MEMORY
    ) -> None:
        """Read the record; a damaged one is ignored, and written anew.

        Args:
          record: file of what former runs found; None: nothing is kept.
          memory: bytes of decoded images that `facts` keeps for `image`.
        """
        self.root = root
        self._record = record
        self._facts = _load(record)
        self.keeps_record = record is not None
        self.opened_ns = time.time_ns()
        self._unsaved: dict[str, ImageFacts] = {}
        self._pixels: dict[str, Image.Image] = {}
        self._memory = memory
        self._lock = threading.Lock()

    @classmethod
    def recorded_in(
        cls, folder: Path, root: Path, memory: int = _MEMORY
    ) -> "SourceImages":
        """The images of `root`, with their record in a folder for several roots."""
        place = hashlib.sha256(os.fsencode(root.absolute())).hexdigest()[:12]
        return cls(root, folder / f"{root.name}-{place}.json", memory)

    def facts(self, paths: Sequence[str]) -> list[ImageFacts]:
        """Check images; those that are not on record are decoded.

        Decoded images stay in memory for `image`, until the memory is full. All of the
        facts, in the order of the paths, have height and width.

        Raises:
          UserError: naming the images that cannot be read, see `read_image`.
        """
        return self._look_at(paths, self._inspect)

    def hashes(self, paths: Sequence[str]) -> list[str]:
        """The content hashes; files that are not on record are read, not decoded.

        Raises:
          UserError: naming the files that cannot be read.
        """
        return [facts.hash for facts in self._look_at(paths, self._hash)]

    def image(self, path: str) -> Image.Image:
        """Decode an image, or hand over the one in memory, which is then dropped."""
        decoded = self._pixels.pop(path, None)
        return self.read(path)[0] if decoded is None else decoded

    def read(self, path: str) -> tuple[Image.Image, ImageFacts]:
        """Decode an image as `read_image`, and put its facts on record; see `save`."""
        stat, started = self._stat(path), time.time_ns()
        image, content = read_hashed(self.root, path)
        facts = ImageFacts(*_stamp(stat), content, image.height, image.width)
        self._note(path, facts, started)
        return image, facts

    def are_new(self, paths: Sequence[str]) -> bool:
        """Whether this run has not read all of the images, nor any run on record."""
        return any(path not in self._facts for path in paths)

    def save(self) -> None:
        """Write the record, with what other processes have found meanwhile.

        `facts` and `hashes` do so themselves. A record that cannot be written costs
        the next run its time, and is only logged.
        """
        if self._record is None or not self._unsaved:
            return
        with self._lock:
            content = msgspec.json.encode(_load(self._record) | self._unsaved)
            self._unsaved = {}
        try:
            write_bytes(self._record, _digest(content) + content)
        except UserError as error:
            logging.warning("the record of images is not kept: %s", error.what)

    def broken(self, paths: Sequence[str]) -> list[tuple[str, UserError]]:
        """Those of the images that cannot be read, and why; looked at as by `facts`."""
        results = zip(paths, self._attempt(paths, self._inspect), strict=True)
        return [(path, out) for path, out in results if isinstance(out, UserError)]

    def _look_at(
        self, paths: Sequence[str], look: Callable[[str], ImageFacts]
    ) -> list[ImageFacts]:
        results = self._attempt(paths, look)
        errors = [result for result in results if isinstance(result, UserError)]
        if errors:
            raise all_broken(errors)
        return [result for result in results if isinstance(result, ImageFacts)]

    def _attempt(
        self, paths: Sequence[str], look: Callable[[str], ImageFacts]
    ) -> list[ImageFacts | UserError]:
        def attempt(path: str) -> ImageFacts | UserError:
            try:
                return look(path)
            except UserError as error:
                return error

        with ThreadPoolExecutor(_THREADS) as pool:
            results = list(pool.map(attempt, paths))
        self.save()
        return results

    def _inspect(self, path: str) -> ImageFacts:
        facts = self._known(path)
        if facts and facts.height:
            return facts
        image, facts = self.read(path)
        size = 3 * image.width * image.height
        with self._lock:
            if size <= self._memory:
                self._memory -= size
                self._pixels[path] = image
        return facts

    def _hash(self, path: str) -> ImageFacts:
        facts = self._known(path)
        if facts is None:
            stat, started = self._stat(path), time.time_ns()
            content = content_hash(self.root, path)
            facts = ImageFacts(*_stamp(stat), content, 0, 0)
            self._note(path, facts, started)
        return facts

    def _known(self, path: str) -> ImageFacts | None:
        facts = self._facts.get(path)
        if facts is None or (facts.size, facts.mtime_ns) != _stamp(self._stat(path)):
            return None
        return facts

    def _stat(self, path: str) -> os.stat_result:
        try:
            return os.stat(self.root / path)
        except OSError as error:
            raise unreadable(self.root / path, error) from error

    def _note(self, path: str, facts: ImageFacts, started: int) -> None:
        with self._lock:
            self._facts[path] = facts
            # A file written twice within a tick of its clock keeps its time: what was
            # written just before it was read is read again by the next run.
            whole_seconds = facts.mtime_ns % 1_000_000_000 == 0
            tick = 2_000_000_000 if whole_seconds else 20_000_000
            # JSON holds no other text.
            is_text = path.encode(errors="ignore").decode() == path
            if is_text and started - facts.mtime_ns > tick:
                self._unsaved[path] = facts


def _stamp(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_size, stat.st_mtime_ns


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode() + b"\n"


def _load(record: Path | None) -> dict[str, ImageFacts]:
    if record is None or not record.exists():
        return {}
    try:
        digest, content = record.read_bytes().split(b"\n", 1)
        if _digest(content) != digest + b"\n":
            raise ValueError("its check sum is another one")
        return _DECODER.decode(content)
    except (OSError, ValueError) as error:
        logging.warning("'%s' is damaged (%s): images are read again", record, error)
        return {}

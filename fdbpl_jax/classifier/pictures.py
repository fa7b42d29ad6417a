"""The images that a command names, read in batches; broken ones are set aside."""

import glob
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from fdbpl_jax.data.images import read_image
from fdbpl_jax.data.listing import images_below
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.features import ahead

_THREADS = 8


class Batch(NamedTuple):
    """Images read together."""

    paths: list[str]
    pictures: list[Image.Image]
    broken: list[UserError]  # of images that cannot be read, which are left out


def named_images(words: Iterable[str]) -> list[str]:
    """The files that words name: files, folders, patterns, `-` for a list on stdin.

    Of a folder all images below it, sorted, hidden ones left out.

    Raises:
      UserError: a word names nothing.
    """
    files: list[str] = []
    for word in words:
        if word == "-":
            files += [line for line in sys.stdin.read().splitlines() if line.strip()]
        elif Path(word).is_dir():
            files += [str(Path(word) / name) for name in images_below(Path(word))]
        elif Path(word).exists():
            files.append(word)
        elif matches := sorted(glob.glob(word, recursive=True)):
            files += matches
        else:
            raise UserError(
                f"'{word}' is no image, folder or pattern that matches any",
                "Check the path; quote a pattern.",
            )
    if not files:
        raise UserError("there are no images to classify", "Name files or folders.")
    return files


def read_batches(paths: Sequence[str], size: int) -> Iterator[Batch]:
    """Decode images in threads, `size` at a time, the next batch ahead."""
    with ThreadPoolExecutor(_THREADS) as pool:
        futures = ahead(pool, _read, paths, 2 * size)
        names = iter(paths)
        while some := list(itertools.islice(futures, size)):
            batch = Batch([], [], [])
            for future in some:
                path, result = next(names), future.result()
                if isinstance(result, UserError):
                    batch.broken.append(result)
                else:
                    batch.paths.append(path)
                    batch.pictures.append(result)
            yield batch


def _read(path: str) -> Image.Image | UserError:
    try:
        return read_image(Path(), path)
    except UserError as error:
        return error

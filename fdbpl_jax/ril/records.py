"""Looks at source images: size and content, without decoding where that is possible."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import ExifTags, Image

from fdbpl_jax.data.images import content_hash, read_image
from fdbpl_jax.data.types import first_few
from fdbpl_jax.errors import UserError
from fdbpl_jax.ril.spec import ImageRecord

_THREADS = 16  # reading and hashing release the GIL


def image_records(root: Path, paths: Sequence[str]) -> tuple[ImageRecord, ...]:
    """What a table needs to know of its source images, in the order of their paths.

    Raises:
      UserError: listing the images that cannot be read.
    """
    records, broken = [], []
    with ThreadPoolExecutor(_THREADS) as pool:
        futures = [pool.submit(_record, root, path) for path in sorted(paths)]
    for future in futures:
        try:
            records.append(future.result())
        except UserError as error:
            broken.append(error)
    raise_all(broken)
    return tuple(records)


def raise_all(broken: Sequence[UserError]) -> None:
    """Raises the error, or one that lists them; returns if there is none."""
    if len(broken) == 1:
        raise broken[0]
    if broken:
        what = first_few([error.what for error in broken], 3)
        raise UserError(f"{len(broken)} images are broken: {what}", broken[0].do)


def _record(root: Path, path: str) -> ImageRecord:
    content = content_hash(root, path)
    return ImageRecord(path, _jpeg_size(root / path) or _size(root, path), content)


def _size(root: Path, path: str) -> tuple[int, int]:
    image = read_image(root, path)
    return image.height, image.width


def _jpeg_size(file: Path) -> tuple[int, int] | None:
    """Upright height and width from a JPEG's header; None to have the file decoded."""
    try:
        with Image.open(file) as image:
            if image.format != "JPEG":
                return None
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
            width, height = image.size
            return (width, height) if turned else (height, width)
    # Whatever is wrong with it, decoding says it better.
    except Exception:
        return None

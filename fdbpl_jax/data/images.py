"""Images from disk: upright, in 8-bit RGB, or a clear refusal."""

import contextlib
import functools
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from io import BufferedReader, BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fdbpl_jax.data.types import first_few
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import open_file

# Pillow reads more; some have no mark to be known by, or are run by other programs.
_KINDS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
# Pillow's own threshold for a decompression bomb. It only warns there and refuses at
# twice the size; a warning from a reader thread helps nobody, so we refuse at once.
_MAX_PIXELS = 89_478_485
_MAX_SIDE = 65_535  # regions are stored with 16-bit coordinates


@functools.cache
def kinds() -> tuple[str, ...]:
    """The kinds of images that are read, as Pillow calls them."""
    Image.init()
    return tuple(kind for kind in _KINDS if kind in Image.OPEN)


def fault_of(file: Path) -> str:
    """Why a file is no image by its first bytes, whatever its suffix; "" if it is one.

    It is not decoded.
    """
    try:
        # Pillow warns of what it does not read; that is in the reason.
        with open_file(file) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(stream, formats=kinds()).close()
    except Image.DecompressionBombError:
        return ""  # too large an image
    except Exception as error:
        if file.is_file() and not file.stat().st_size:
            return "empty"
        return _reason(error)
    return ""


def read_image(root: Path, path: str) -> Image.Image:
    """Decode one image.

    EXIF orientation is applied, palettes and CMYK are converted, an alpha channel is
    dropped, 16-bit grey is scaled to 8 bits (Pillow's own conversion would clip it to
    white), and of an animation the first frame is taken. It is loaded, in mode "RGB".

    Raises:
      UserError: naming the file, if it is missing, does not decode to its end, is
        larger than 89 million pixels or 65,535 on a side, or has no known range of
        values (float or 32-bit grey).
    """
    file = root / path
    with _opened(file) as stream:
        return decode_image(file, stream)


def read_hashed(root: Path, path: str) -> tuple[Image.Image, str]:
    """Decode one image as `read_image`, and hash its file as `content_hash`."""
    file = root / path
    with _opened(file) as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        return decode_image(file, stream), content


def as_read(image: Image.Image) -> Image.Image:
    """Of an image in memory what `read_image` makes of its file; itself unchanged.

    Raises:
      UserError: it is broken, or has no known range of values.
    """
    try:
        upright = _upright(image, in_place=False)
        upright.format = image.format  # a copy has none
        return _to_rgb(upright)
    except Exception as error:  # which one depends on its format
        what = f"an image in memory cannot be read ({_reason(error)})"
        raise UserError(what, "Convert it to RGB, or leave it out.") from error


def content_hash(root: Path, path: str) -> str:
    """SHA-256, in hex, of the bytes of the file `path` in `root`.

    Raises:
      UserError: naming the file, if it cannot be read.
    """
    with _opened(root / path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def all_broken(errors: Sequence[UserError]) -> UserError:
    """One error for those of several images; of a single one, itself."""
    if len(errors) == 1:
        return errors[0]
    what = first_few([error.what for error in errors])
    return UserError(f"{len(errors)} images are broken: {what}", errors[0].do)


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[BufferedReader]:
    try:
        with open_file(file) as stream:
            yield stream
    except OSError as error:
        raise unreadable(file, error) from error


def decode_image(
    name: Path | str, stream: BufferedReader | BytesIO, most: int = 0
) -> Image.Image:
    """Decode the image in a stream as `read_image`, of at most `most` pixels.

    0: as many as of a file. `name` it has in messages; nothing is opened by it.
    """
    most = most or _MAX_PIXELS
    try:
        with Image.open(stream, formats=kinds()) as image:
            too_long = max(image.size) > _MAX_SIDE
            if too_long or image.width * image.height > most:
                raise _too_large(name, most)
            image.load()
            return _to_rgb(_upright(image, in_place=True))
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name, most) from error
    # Which exception a broken file raises depends on its format and where it broke.
    except Exception as error:
        raise unreadable(name, error) from error


def _upright(image: Image.Image, in_place: bool) -> Image.Image:
    # A sound picture may carry broken EXIF data; viewers then show it as stored.
    with contextlib.suppress(Exception):
        if not in_place:
            return ImageOps.exif_transpose(image)
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    sixteen_bit = image.mode.startswith("I;16") or (
        image.mode == "I" and image.format in ("PNG", "PPM")
    )
    if sixteen_bit:
        grey = (np.asarray(image, np.uint32) + 128) // 257  # 0..65535 to 0..255
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise ValueError(f"grey of mode {image.mode} has no known range of values")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # the same colours, without Pillow's warning
    return image.convert("RGB")


def unreadable(file: Path | str, error: Exception) -> UserError:
    """The error that stands for `error` on reading an image file."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return UserError(
            f"image '{file}' is missing", "Put it back, or remove it from the split."
        )
    return UserError(
        f"image '{file}' cannot be read ({_reason(error)})",
        "Fetch it again, or remove it from the split.",
    )


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):  # its text names a stream
        return "not an image of a known format"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _too_large(name: Path | str, most: int) -> UserError:
    return UserError(
        f"image '{name}' has more than {most:,} pixels, or {_MAX_SIDE:,} on a side",
        "Scale it down, or remove it from the split.",
    )

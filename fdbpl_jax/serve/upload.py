"""What a client sends: images and class names, in memory and within limits.

Nothing of it is opened as a path or fetched as a URL; a file's name is only repeated in
messages.
"""

import dataclasses
import io
from collections.abc import AsyncGenerator
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta
from PIL import Image
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from fdbpl_jax.config import Count, Positive
from fdbpl_jax.data.class_names import check_class_names
from fdbpl_jax.data.images import decode_image
from fdbpl_jax.errors import UserError

_MEBI = 1 << 20
_FIELD_BYTES = 1000  # of a form's field that is no file
_NAME_LENGTH = 200  # of a file, in messages
_NAMES = 100  # class names that a request may bring


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a client may ask for."""

    mebibytes: Count = 16  # of a request
    megapixels: Count = 50  # of an image
    images: Count = 16  # of a request
    seconds: Positive = 30.0  # until the answer
    waiting: Count = 32  # requests at a time, those that are worked on too


class Upload(NamedTuple):
    """An image file as it was sent."""

    name: str  # for messages
    content: bytes


class Question(NamedTuple):
    """What a request asks."""

    uploads: tuple[Upload, ...]
    top: int  # how many classes to name of each image
    classes: tuple[str, ...]  # other names; empty: those learned on


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of a request, or the fields of a form."""

    images: list[bytes]  # base64 in JSON
    top: Annotated[int, Meta(ge=1, le=1000)] = 5
    classes: list[Annotated[str, Meta(min_length=1, max_length=200)]] = []


async def read_question(request: Request, limits: Limits) -> Question:
    """Read the body of a request.

    Raises:
      HTTPException: 413, 415 or 422, with one line that says why.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "multipart/form-data":
            return await _form(request, limits)
        if kind == "application/json":
            parts = [part async for part in _body(request, limits)]
            body = msgspec.json.decode(b"".join(parts), type=_Body)
            names = [str(place) for place in range(1, len(body.images) + 1)]
            return _checked(body, names, limits)
    except MultiPartException as error:
        raise HTTPException(422, error.message) from error
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise HTTPException(422, str(error)) from error
    except UserError as error:
        raise HTTPException(422, error.what) from error
    text = "send multipart/form-data with files 'image', or application/json"
    raise HTTPException(415, text)


def decode(upload: Upload, limits: Limits) -> Image.Image:
    """Decode an image; UserError, naming it, if it is broken or too large."""
    most = limits.megapixels * 1_000_000
    return decode_image(upload.name, io.BytesIO(upload.content), most)


async def _form(request: Request, limits: Limits) -> Question:
    parser = MultiPartParser(
        request.headers,
        _body(request, limits),
        max_files=limits.images,
        max_fields=_NAMES + 1,
        max_part_size=_FIELD_BYTES,
    )
    parser.spool_max_size = limits.mebibytes * _MEBI  # nothing goes to a disk
    form = await parser.parse()
    try:
        return await _of_fields(form, limits)
    finally:
        await form.close()


async def _of_fields(form: FormData, limits: Limits) -> Question:
    fields: dict[str, Any] = {"images": [], "classes": []}
    names = []
    for field, value in form.multi_items():
        if isinstance(value, UploadFile) != (field == "image"):
            text = f"field '{field}' is {'no' if field == 'image' else 'a'} file"
            raise HTTPException(422, text)
        if isinstance(value, UploadFile):
            names.append((value.filename or "")[:_NAME_LENGTH])
            fields["images"].append(await value.read())
        elif field == "classes":
            fields["classes"].append(value)
        elif field in fields:
            raise HTTPException(422, f"field '{field}' is sent twice")
        else:
            fields[field] = value
    return _checked(msgspec.convert(fields, _Body, strict=False), names, limits)


def _checked(body: _Body, names: list[str], limits: Limits) -> Question:
    count = len(body.images)
    if not 1 <= count <= limits.images:
        text = f"{count} images are sent, and 1 to {limits.images} are answered at once"
        raise HTTPException(422, text)
    if len(body.classes) == 1 or len(body.classes) > _NAMES:
        text = f"{len(body.classes)} class names are sent, and 2 to {_NAMES} are taken"
        raise HTTPException(422, text)
    check_class_names("the request", body.classes)
    uploads = map(Upload, names, body.images)
    return Question(tuple(uploads), body.top, tuple(body.classes))


async def _body(request: Request, limits: Limits) -> AsyncGenerator[bytes, None]:
    """The parts of the body, until they are too many."""
    most, size = limits.mebibytes * _MEBI, 0
    text = f"the request is larger than {limits.mebibytes} MiB"
    announced = request.headers.get("content-length", "")
    # Python makes no number of more than some thousand digits.
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > most):
        raise HTTPException(413, text)
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise HTTPException(413, text)
        yield part

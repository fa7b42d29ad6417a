"""A classifier as a web service, with a page to try it.

  fdbpl serve CLASSIFIER --port=8000 --teacher=TEACHER

CLASSIFIER is the folder of a classifier or an export, or a hub id. With --teacher the
page shows regions of a picture and their information weights. Needs the extra `serve`.
"""

import importlib
from collections.abc import Sequence
from typing import Annotated

from absl import flags
from msgspec import Meta

from fdbpl_jax.cli import path_flag, run_app, value_flag
from fdbpl_jax.config import Count, Positive
from fdbpl_jax.errors import UserError

_EXTRA = "starlette", "uvicorn", "python_multipart"
_Megapixels = Annotated[int, Meta(ge=1, le=89)]  # Pillow's own bound
_Port = Annotated[int, Meta(ge=0, le=65535)]

_HOST = flags.DEFINE_string("host", "127.0.0.1", "Address; 0.0.0.0: of all networks.")
_PORT = value_flag("port", 8000, _Port, "0: any that is free.")
_STUDENT = path_flag("student", "", "Where the student is now, if elsewhere.")
_TEACHER = path_flag("teacher", "", "The CLIP that weighs regions; PromptKD's teacher.")
_REGIONS = value_flag("regions", 24, Count, "Regions of a picture, with --teacher.")
_BATCH = value_flag("batch_size", 16, Count, "Images computed at once; a power of 2.")
_MEBIBYTES = value_flag("max_mib", 16, Count, "MiB of a request.")
_MEGAPIXELS = value_flag(
    "max_megapixels", 50, _Megapixels, "Million pixels of an image."
)
_IMAGES = value_flag("max_images", 16, Count, "Images of a request.")
_WAITING = value_flag("max_waiting", 32, Count, "Requests at a time; more are refused.")
_SECONDS = value_flag("max_seconds", 30.0, Positive, "Until a request is answered.")


def main() -> None:
    """Run the command of `sys.argv`."""
    words: list[str] = []
    run_app(lambda: _command(words), words=words)


def _command(words: Sequence[str]) -> None:
    if len(words) != 1:
        raise UserError(f"{len(words)} classifiers are named", "Give one folder.")
    try:
        for library in _EXTRA:
            importlib.import_module(library)
    except ModuleNotFoundError as error:
        what = f"'{error.name}' is not installed, and the service needs it"
        advice = "Install it by `pip install 'fdbpl-jax[serve]'`."
        raise UserError(what, advice) from error
    from fdbpl_jax.serve.server import Limits, Options, serve

    serve(
        Options(
            classifier=words[0],
            student=_STUDENT.value,
            teacher=_TEACHER.value,
            regions=_REGIONS.value,
            host=_HOST.value,
            port=_PORT.value,
            batch=_BATCH.value,
            limits=Limits(
                mebibytes=_MEBIBYTES.value,
                megapixels=_MEGAPIXELS.value,
                images=_IMAGES.value,
                seconds=_SECONDS.value,
                waiting=_WAITING.value,
            ),
        )
    )


if __name__ == "__main__":
    main()

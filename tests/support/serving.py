"""Pictures to send to a service, its limits in tests, and a server in a thread."""

import contextlib
import io
import threading
from collections.abc import Iterator

import numpy as np
from PIL import Image
from starlette.applications import Starlette

from fdbpl_jax.serve.server import listen, make_server
from fdbpl_jax.serve.upload import Limits

LIMITS = Limits(mebibytes=1, megapixels=1, images=3, waiting=4)
BATCH = 4


def picture(seed: int = 0, size: tuple[int, int] = (60, 40)) -> Image.Image:
    """Blocks of colour, width × height."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)


def png(image: Image.Image, kind: str = "PNG", **settings) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()


@contextlib.contextmanager
def running(app: Starlette, limits: Limits) -> Iterator[int]:
    """The port of a server in a thread."""
    server = make_server(app, limits)
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()

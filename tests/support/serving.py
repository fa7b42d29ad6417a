"""A classifier of random contexts on the embedded student, and pictures to send."""

import contextlib
import dataclasses
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from starlette.applications import Starlette

from fdbpl_jax.clip.model import load_clip
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.serve.server import listen, make_server
from fdbpl_jax.serve.upload import Limits
from fdbpl_jax.shapes import embedded
from fdbpl_jax.training.checkpoint import export_prompts

NAMES = ("red circle", "blue square", "green cross", "white ring")
LIMITS = Limits(mebibytes=1, megapixels=1, images=3, waiting=4)
BATCH = 4


def export(folder: Path, method: str = "coop+fdbpl", specific: bool = False) -> Path:
    student = load_clip(str(embedded("student")))
    width = student.config.text.tower.width
    random = np.random.default_rng(0)
    shape = (len(NAMES), 4, width) if specific else (4, width)
    kinds = ("positive", "negative") if "fdbpl" in method else ("positive",)
    prompts = {
        kind: {"context": random.normal(0, 0.02, shape).astype(np.float32)}
        for kind in kinds
    }
    prompt = PromptConfig(init="", class_specific=specific)
    facts = {
        "class_names": list(NAMES),
        "student": {"name": student.name, "sha256": student.fingerprint},
        "config": {"method": method, "prompt": dataclasses.asdict(prompt)},
    }
    export_prompts(folder, prompts, facts)
    return folder


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

"""Speed of the frozen towers alone: ours and those of PyTorch's `transformers`.

Both sides have the same random weights; their features must agree before timing.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from benchmarks import torch_clip
from benchmarks.section import Section, markdown_table
from benchmarks.sizes import cast, config_of, random_params
from benchmarks.timing import Side, Timing, in_turns
from fdbpl_jax.clip.config import ClipConfig, TextConfig, VisionConfig
from fdbpl_jax.clip.text import encode_text
from fdbpl_jax.clip.vision import encode_image
from fdbpl_jax.device import describe
from fdbpl_jax.errors import UserError

# Largest difference allowed between the sides' L2-normalised features. bfloat16 has 8
# bits, and each of dozens of layers rounds.
TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}
OURS, THEIRS = "JAX", "PyTorch"


class Work(NamedTuple):
    """A batch through a tower on both sides; each call returns features [B D]."""

    ours: Callable[[], jax.Array]
    theirs: Callable[[], torch.Tensor]


def measure(sizes: ConfigDict, log: Callable[[str], None]) -> Section:
    """Check that both sides agree, then time them.

    Args:
      sizes: models (names in `benchmarks.sizes`), dtypes ("float32", "bfloat16"),
        batches, tokens (T of each text), calls (per timed run), repeats.
      log: takes lines on how far it is.

    Raises:
      UserError: the sides do not agree, and are not timed.
    """
    measured = []
    for name in sizes.models:
        config = config_of(name)
        params = random_params(config, seed=0)
        model = torch_clip.load_model(config, params, torch_clip.torch_device())
        for dtype in sizes.dtypes:
            model = model.to(getattr(torch, dtype))
            for batch in sizes.batches:
                towers = make_work(config, cast(params, dtype), model, batch, sizes)
                for tower, work in towers.items():
                    what = (name, tower, dtype, batch)
                    log(" ".join(map(str, what)))
                    timed = _timed(work, what, sizes, log)
                    measured.append((*what, *timed))
    return _section(sizes, measured)


def make_work(
    config: ClipConfig, params: dict, model: Any, batch: int, sizes: ConfigDict
) -> dict[str, Work]:
    """Draw random inputs for each tower, already on the devices."""
    rng = np.random.default_rng(0)
    edge = config.vision.image_size
    pixels = rng.standard_normal((batch, edge, edge, 3), np.float32)
    last = config.text.eos_token_id
    ids = rng.integers(1, last, (batch, sizes.tokens), np.int32)
    ids[:, -1] = last
    ours = jax.device_put((params, pixels.astype(_dtype(params)), ids))
    device = torch_clip.torch_device()
    theirs_pixels = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    theirs_pixels = theirs_pixels.to(device, model.dtype)
    theirs_ids = torch.from_numpy(ids).long().to(device)
    return {
        "image": Work(
            lambda: _image(config.vision, ours[0]["vision"], ours[1]),
            lambda: torch_clip.encode_image(model, theirs_pixels),
        ),
        "text": Work(
            lambda: _text(config.text, ours[0]["text"], ours[2]),
            lambda: torch_clip.encode_text(model, theirs_ids),
        ),
    }


def check_agreement(work: Work, what: str, tolerance: float) -> float:
    """Return the largest difference of the sides' L2-normalised features.

    Raises:
      UserError: it is larger than `tolerance`.
    """
    ours = np.asarray(work.ours(), np.float32)
    with torch.inference_mode():
        theirs = work.theirs().float().cpu().numpy()
    apart = float(np.abs(_unit(ours) - _unit(theirs)).max())
    if not apart <= tolerance:
        raise UserError(
            f"{what}: JAX's and PyTorch's features are up to {apart:.2g} apart, and "
            f"{tolerance} is allowed",
            "Find out why before comparing their times: they do not compute the same.",
        )
    return apart


def _timed(
    work: Work, what: tuple, sizes: ConfigDict, log: Callable[[str], None]
) -> tuple[float, list[Timing]]:
    """Return the difference of the sides' features, and their times."""
    dtype = what[2]
    with _same_precision(dtype):
        apart = check_agreement(work, " ".join(map(str, what)), TOLERANCE[dtype])
        ours, theirs = _sides(work, sizes.calls)
        torch_clip.choose_threads(theirs.run)
        return apart, in_turns([ours, theirs], sizes.repeats, log)


def _sides(work: Work, calls: int) -> list[Side]:
    device = torch_clip.torch_device()

    def ours() -> None:
        jax.block_until_ready([work.ours() for _ in range(calls)])

    @torch.inference_mode()
    def theirs() -> None:
        for _ in range(calls):
            work.theirs()
        torch_clip.wait(device)

    return [Side(OURS, ours, calls), Side(THEIRS, theirs, calls)]


@contextlib.contextmanager
def _same_precision(dtype: str) -> Iterator[None]:
    """Use float32 on both sides, without TF32."""
    if dtype != "float32":
        yield
        return
    with jax.default_matmul_precision("highest"), torch_clip.full_precision():
        yield


@functools.partial(jax.jit, static_argnums=0)
def _image(
    config: VisionConfig, params: dict[str, Any], pixels: Float[Array, "B H W 3"]
) -> Float[Array, "B D"]:
    return encode_image(config, params, pixels)


@functools.partial(jax.jit, static_argnums=0)
def _text(
    config: TextConfig, params: dict[str, Any], ids: Int[Array, "C T"]
) -> Float[Array, "C D"]:
    return encode_text(config, params, ids)


def _dtype(params: dict) -> jnp.dtype:
    return params["vision"]["class_embedding"].dtype


def _unit(x: Float[np.ndarray, "B D"]) -> Float[np.ndarray, "B D"]:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _section(sizes: ConfigDict, measured: list[tuple]) -> Section:
    rows, data = [], []
    for name, tower, dtype, batch, apart, (ours, theirs) in measured:
        factor = theirs.median / ours.median
        cells = [ours.shown(), theirs.shown(), f"{factor:.2f} ×", f"{apart:.1g}"]
        rows.append([f"{name}, {tower}", dtype, str(batch), *cells])
        data.append(
            {
                "model": name,
                "tower": tower,
                "dtype": dtype,
                "batch": batch,
                "apart": apart,
                "timings": [ours.to_json(), theirs.to_json()],
            }
        )
    header = ["tower", "dtype", "batch", f"{OURS} ms", f"{THEIRS} ms"]
    header += [f"{THEIRS} / {OURS}", "features apart"]
    device = torch_clip.torch_device()
    lines = [
        f"Random weights, texts of {sizes.tokens} tokens, inputs on the device. JAX on "
        f"{describe()}, PyTorch on {torch_clip.describe(device)}, eager, with fused "
        "attention; float32 without TF32. ms a batch: median (min – max).",
        "",
        *markdown_table(header, rows),
    ]
    return Section("The towers alone", lines, [], {"measured": data})

"""From images to tested prompts: our table and runs compared with as many runs of KDPL.

A run takes hours at real sizes on a CPU. So each part is measured on real files for a
short time, and the total is the sum of the parts times their counts.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from ml_collections import ConfigDict

from benchmarks import torch_clip
from benchmarks.pictures import write_pictures
from benchmarks.section import Section, Target, markdown_table
from benchmarks.sides import Pair, make_pair, torch_model
from benchmarks.sizes import random_clip
from benchmarks.stored import stored_side
from benchmarks.timing import cores
from benchmarks.torch_reference.data import Views, loader
from benchmarks.torch_reference.prompts import image_features
from benchmarks.torch_reference.step import make_step
from fdbpl_jax.clip.image import ImageSettings
from fdbpl_jax.clip.model import Clip
from fdbpl_jax.config import RilConfig
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.device import tower_dtype
from fdbpl_jax.evaluation.features import split_features
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.ril.blocks import BuildSettings
from fdbpl_jax.ril.build import build_table, plan_spec

_SIZE = (375, 500)  # of the pictures


class Parts(NamedTuple):
    """Seconds of our compilation, a region, our step, KDPL's step, and a test image."""

    compiling: float
    region: float
    step: float
    kdpl_step: float
    test: float
    kdpl_test: float


def measure(sizes: ConfigDict, log: Callable[[str], None]) -> Section:
    """Measure the parts and add them up.

    Args:
      sizes: student and teacher (names in `benchmarks.sizes`), classes, shots, epochs,
        seeds, test_images; of the measuring: images, regions (of each), batch_size (of
        our table), workers (0: one per core), kdpl_steps.
      log: takes a line.
    """
    with tempfile.TemporaryDirectory() as folder:
        parts = _parts(Path(folder), sizes, log)
    images = sizes.classes * sizes.shots
    steps = max(images // METHODS["coop+fdbpl"].optim.batch_size, 1) * sizes.epochs
    kdpl_steps = max(images // METHODS["coop+kdpl"].optim.batch_size, 1) * sizes.epochs
    kdpl_run = kdpl_steps * parts.kdpl_step + sizes.test_images * parts.kdpl_test
    our_run = steps * parts.step
    rest = parts.compiling + sizes.test_images * parts.test + sizes.seeds * our_run

    def table(regions: int, shared: bool) -> float:
        return regions * images * (1 if shared else sizes.seeds) * parts.region

    theirs = sizes.seeds * kdpl_run
    plans = {
        "M = 500, the seeds' images shared": table(500, True),
        f"M = {sizes.epochs}, just what is read, images shared": table(
            sizes.epochs, True
        ),
        f"M = {sizes.epochs}, each seed has images of its own": table(
            sizes.epochs, False
        ),
    }
    rows = [
        [
            name,
            *map(_hours, (cost, rest, cost + rest)),
            f"{theirs / (cost + rest):.2f} ×",
        ]
        for name, cost in plans.items()
    ]
    even = table(500, True) / max(kdpl_run - our_run, 1e-9)
    lines = [
        _intro(sizes),
        "",
        *markdown_table(["part", "seconds"], _part_rows(parts)),
        "",
        *markdown_table(
            ["our job", "table h", "training and test h", "whole h", "KDPL / ours"],
            [*rows, [f"{sizes.seeds} runs of KDPL", "–", "–", _hours(theirs), ""]],
        ),
        "",
        f"With M = 500 and shared images the table is paid for after {even:.1f} runs.",
    ]
    targets = [
        Target(
            f"{sizes.seeds} runs of KDPL over our whole job, {name}", 3, theirs / all
        )
        for name, all in ((n, c + rest) for n, c in list(plans.items())[1:])
    ]
    return Section("The whole job", lines, targets, {"parts": parts._asdict()})


def _parts(folder: Path, sizes: ConfigDict, log: Callable[[str], None]) -> Parts:
    teacher = random_clip(sizes.teacher, 0, tower_dtype(""))
    student = random_clip(sizes.student, 1, tower_dtype(""))
    classes = min(sizes.classes, sizes.images)
    dataset = write_pictures(folder / "images", sizes.images, _SIZE, classes, seed=0)
    compiling, region = _region(folder, dataset, teacher, student, sizes)
    log(f"  {1 / region:.2f} regions/s")
    test = _test(folder, dataset, student)
    pair = make_pair(sizes.student, sizes.teacher, sizes.classes)
    batch = min(METHODS["coop+fdbpl"].optim.batch_size, sizes.classes * sizes.shots)
    joint = pair.student.projection
    side = stored_side(pair.problem, joint, "coop+fdbpl", batch, steps=2)
    side.run()
    step = _seconds(side.run) / side.steps
    log(f"  {step:.3f} s a step of ours")
    kdpl_step, kdpl_test = _kdpl(dataset, pair, sizes)
    log(f"  {kdpl_step:.3f} s a step of KDPL")
    compiling += side.compile_seconds
    return Parts(compiling, region, step, kdpl_step, test, kdpl_test)


def _region(
    folder: Path, dataset: Dataset, teacher: Clip, student: Clip, sizes: ConfigDict
) -> tuple[float, float]:
    """Seconds that the towers take to compile, and of a region, all of it."""
    spec = plan_spec(dataset, teacher, student, RilConfig(keep=classes_kept(dataset)),
        sizes.regions, batch_size=sizes.batch_size,
    )  # fmt: skip

    def build(name: str) -> float:
        settings = BuildSettings(sizes.workers or cores())
        return _seconds(
            lambda: build_table(
                folder / name, spec, dataset.root, teacher, student, settings=settings
            )
        )

    first, second = build("first"), build("second")
    return max(first - second, 0.0), second / (len(dataset.train) * sizes.regions)


def classes_kept(dataset: Dataset) -> int:
    """Return K: the paper's 20, or all classes if there are fewer."""
    return min(20, len(dataset.class_names))


def _test(folder: Path, dataset: Dataset, student: Clip) -> float:
    """Measure seconds per test image: decoded, resized, encoded."""
    split_features(student, dataset, dataset.train[:1], folder / "compiled")
    seconds = _seconds(
        lambda: split_features(student, dataset, dataset.train, folder / "features")
    )
    return seconds / len(dataset.train)


def _kdpl(dataset: Dataset, pair: Pair, sizes: ConfigDict) -> tuple[float, float]:
    """Seconds of a step of PyTorch's KDPL with its loading, and of a test image."""
    optim = METHODS["coop+kdpl"].optim
    whole = pair.problem.text.context_length
    model, batch_of = torch_model(pair, "coop+kdpl", whole)
    step = make_step(model, optim)
    needed = optim.batch_size * (sizes.kdpl_steps + 1)
    files = [dataset.root / dataset.train[i % len(dataset.train)].path
             for i in range(needed)]  # fmt: skip
    views = Views(files, [0] * needed, ImageSettings(pair.student.vision.image_size))
    batches = iter(loader(views, optim.batch_size, sizes.workers or cores()))
    pixels, _ = next(batches)  # the workers have started
    start = time.perf_counter()
    for _ in range(sizes.kdpl_steps):
        step(*batch_of(pixels)).item()
        pixels, _ = next(batches)
    step_seconds = (time.perf_counter() - start) / sizes.kdpl_steps
    device = torch_clip.torch_device()
    pixels = pixels.to(device)

    def encode() -> None:
        with torch.autocast(device.type, torch.bfloat16, device.type == "cuda"):
            image_features(model.image, pixels)
        torch_clip.wait(device)

    encode()
    return step_seconds, _seconds(encode) / len(pixels)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.3g}"


def _part_rows(parts: Parts) -> list[list[str]]:
    names = {
        "compiling": "our compiling",
        "region": "a region of our table: decoded, cut, both towers, written",
        "step": "a step of our FDBPL, batch 128",
        "kdpl_step": "a step of KDPL in PyTorch with its loading, batch 32",
        "test": "a test image, ours",
        "kdpl_test": "a test image in PyTorch, without decoding",
    }
    return [[names[key], f"{value:.4g}"] for key, value in parts._asdict().items()]


def _intro(sizes: ConfigDict) -> str:
    return (
        f"Student {sizes.student}, teacher {sizes.teacher}; {sizes.classes} classes, "
        f"{sizes.shots} images of each, {sizes.epochs} epochs, {sizes.seeds} seeds, "
        f"{sizes.test_images} test images. Parts: the table on {sizes.images} × "
        f"{sizes.regions} regions, {sizes.kdpl_steps} steps of KDPL; jobs are sums of "
        "parts. A run of KDPL encodes the test images, ours do once for all seeds. The "
        "paper's authors train all seeds on the same images; CoOp's protocol draws "
        "others for each, and then our table has to hold them all."
    )

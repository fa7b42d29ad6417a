"""A training step of every other learner, loss and regularizer, ours and PyTorch's.

At each method's published batch size. Where only text prompts are learned, our step
reads stored features and PyTorch's encodes the images, as the published code does.
Where the image tower is prompted, both get the same pixels.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from benchmarks import problem as given
from benchmarks.learned import (
    initial_state,
    our_frozen,
    torch_batch,
    torch_method,
    viewing,
)
from benchmarks.pictures import write_pictures
from benchmarks.section import Section, Target, markdown_table
from benchmarks.sides import Pair, make_pair, views
from benchmarks.sizes import cast, random_clip
from benchmarks.timing import Side, Timing, in_turns
from benchmarks.torch_reference.methods import make_step
from fdbpl_jax.config import RilConfig
from fdbpl_jax.device import tower_dtype
from fdbpl_jax.learners.learner import Models
from fdbpl_jax.losses.loss import Batch
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.training.loop import Run, Saving, TrainingResult, train
from fdbpl_jax.training.sources import TrainingData, view_batch, view_source
from fdbpl_jax.training.step import run_steps

_SEED = 0
_SIZE = (375, 500)  # of the pictures


def measure(sizes: ConfigDict, log: Callable[[str], None]) -> Section:
    """Time both sides of every method, and our training's data wait.

    Args:
      sizes: student and teacher (names in `benchmarks.sizes`), classes, methods,
        repeats; waiting (methods whose training loop is run on images), pictures (the
        number of these), epochs.
      log: takes a line.
    """
    pair = make_pair(sizes.student, sizes.teacher, sizes.classes)
    rows, targets, data = [], [], {}
    for name in sizes.methods:
        log(name)
        ours, theirs = in_turns(
            [_our_side(pair, name), _torch_side(pair, name)], sizes.repeats, log
        )
        rows.append(_row(name, ours, theirs))
        what = f"step of PyTorch's {name} over one of ours"
        targets.append(Target(what, 1, theirs.median / ours.median))
        data[name] = [ours.to_json(), theirs.to_json()]
    waits = {name: _waiting(sizes, pair, name) for name in sizes.waiting}
    data["waiting"] = waits
    header = ["method", "batch", "ours, s a step", "compiling s", "PyTorch, s a step"]
    shares = [[name, f"{100 * share:.1f} %"] for name, share in waits.items()]
    lines = [
        f"Student {sizes.student}, teacher {sizes.teacher}, random weights, "
        f"{sizes.classes} classes, {sizes.repeats} repeats; PyTorch's prompts are "
        "whole.",
        "",
        *markdown_table([*header, "ratio"], rows),
        "",
        f"Share of the training time in which the device waits for data, at most: "
        f"{sizes.pictures} pictures of 500×375 pixels, {sizes.epochs} epochs, the "
        "whole training loop.",
        "",
        *markdown_table(["method", "waits"], shares),
    ]
    return Section("Every learner, loss and regularizer", lines, targets, data)


def _row(name: str, ours: Timing, theirs: Timing) -> list[str]:
    return [
        name,
        str(METHODS[name].optim.batch_size),
        ours.shown(1, 3),
        f"{ours.compile_seconds:.1f}",
        theirs.shown(1, 3),
        f"{theirs.median / ours.median:.1f} ×",
    ]


def _our_side(pair: Pair, name: str) -> Side:
    method, text = METHODS[name], jnp.asarray(pair.teacher_text)
    setup = given.make_setup(pair.problem, name)
    frozen, hyper = our_frozen(pair, name), given.make_hyper(method.optim)
    state = initial_state(pair, name, setup)
    batch = method.optim.batch_size
    pixels = views(pair, batch)
    host = {"student": pixels, "teacher": pixels}, np.zeros(batch, np.int32)
    params = [
        cast(towers, tower_dtype(""))
        for towers in (pair.student_params, pair.teacher_params)
    ]
    begin = time.perf_counter()
    look = view_batch.lower(viewing(pair, name), *params, text, *host).compile()
    update = run_steps.lower(setup, state, hyper, frozen, look.out_info).compile()
    seconds = time.perf_counter() - begin
    # Text learners read features that are stored: they are not made in each step.
    stored: Batch | None = None
    if not (method.learner.prompts_images or method.loss.online):
        stored = look(*params, text, *jax.device_put(host))

    def run() -> None:
        nonlocal state
        batches = stored or look(*params, text, *jax.device_put(host))
        state, metrics = update(state, hyper, frozen, batches)
        jax.block_until_ready((state, metrics))

    return Side(f"{name}, ours", run, 1, seconds)


def _torch_side(pair: Pair, name: str) -> Side:
    step = make_step(torch_method(pair, name), METHODS[name].optim)
    batch = torch_batch(pair, name)
    return Side(f"{name}, PyTorch", lambda: step(*batch).item())


def _waiting(sizes: ConfigDict, pair: Pair, name: str) -> float:
    """Return an upper bound of the share of training time spent waiting for data.

    For a method without a teacher.
    """
    method = METHODS[name]
    optim = dataclasses.replace(method.optim, epochs=sizes.epochs)
    clip = random_clip(sizes.student, _SEED, tower_dtype(""))
    steps = sizes.pictures // optim.batch_size
    setup = given.make_setup(pair.problem, name, optim, steps)
    frozen = our_frozen(pair, name)
    with tempfile.TemporaryDirectory() as folder:
        dataset = write_pictures(Path(folder), sizes.pictures, _SIZE, 2, _SEED)
        data = TrainingData(dataset, optim, RilConfig(), _SEED)

        def once(where: str) -> TrainingResult:
            source = view_source(data, method, Models(clip, clip), None, 0)
            state, hyper = initial_state(pair, name, setup), given.make_hyper(optim)
            run = Run(state, hyper, source, Path(folder) / where)
            return train(setup, [run], frozen, Saving(optim.epochs))[0]

        once("compiling")
        result = once("compiled")
    return result.waited / result.seconds

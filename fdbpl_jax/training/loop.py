"""The training loop, the same for every method."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from fdbpl_jax import STARTED
from fdbpl_jax.errors import UserError
from fdbpl_jax.losses.batch import Batch
from fdbpl_jax.training.checkpoint import Checkpoints
from fdbpl_jax.training.metrics import MetricsWriter
from fdbpl_jax.training.state import Frozen, Hyper, RegionBatch, StepSetup, TrainState
from fdbpl_jax.training.step import final_prompts, run_steps, run_together


class Source(NamedTuple):
    """Where training data come from.

    loader: a checkpointable Grain iterator. calls_per_epoch: its elements an epoch.
    prepare: one element as device batches with a leading axis of steps.
    """

    loader: Iterator[Any]
    calls_per_epoch: int
    prepare: Callable[[Any], Batch | RegionBatch]


class Trained(NamedTuple):
    """What training ends with: {"positive": …, "negative": …}, steps, wall seconds.

    waited: seconds that the device had nothing to do but to wait for data, at most.
    """

    prompts: dict
    steps: int
    seconds: float
    waited: float


class Run(NamedTuple):
    """One of the runs that are trained at once.

    state: where to start without a checkpoint; it is donated. hyper: its rate and loss
    weights. source: its data, at their start. directory: of the cell; gets
    `checkpoints/` and `metrics.jsonl`.
    """

    state: TrainState
    hyper: Hyper
    source: Source
    directory: Path


@dataclasses.dataclass
class _Progress:
    """A run under way."""

    run: Run
    state: TrainState
    epoch: int
    seconds: float
    waited: float
    checkpoints: Checkpoints
    writer: MetricsWriter


def train(
    setup: StepSetup,
    runs: Sequence[Run],
    frozen: Frozen,
    checkpoint_epochs: int,
    tensorboard: bool = False,
) -> list[Trained]:
    """Trains runs to the last epoch, each from the newest checkpoint it has, if any.

    Runs that have come equally far share every compiled call. A run that was killed
    goes on to the same prompts as one that was not.

    Args:
      setup: what the step is compiled for.
      runs: what is trained; their wall seconds are shared out equally.
      frozen: the text tower, the scale and the layout; its `hyper` is not looked at.
      checkpoint_epochs: epochs between checkpoints; the last one is always saved.
      tensorboard: also write TensorBoard events.

    Raises:
      UserError: a loss that is not finite, naming the run; the last checkpoints stay.
    """
    with contextlib.ExitStack() as stack:
        started = [_start(stack, setup, run, tensorboard) for run in runs]
        for epoch in sorted({progress.epoch for progress in started}):
            together = [p for p in started if p.epoch == epoch]
            _train_together(setup, together, frozen, checkpoint_epochs)
    steps = setup.optim.epochs * setup.steps_per_epoch
    return [
        Trained(final_prompts(p.state), steps, p.seconds, p.waited) for p in started
    ]


def _start(
    stack: contextlib.ExitStack, setup: StepSetup, run: Run, tensorboard: bool
) -> _Progress:
    checkpoints = stack.enter_context(Checkpoints(run.directory / "checkpoints"))
    state, epoch, spent = checkpoints.restore(run.state, run.source.loader)
    step = epoch * setup.steps_per_epoch
    writer = MetricsWriter(run.directory, tensorboard, resume_step=step)
    stack.enter_context(writer)
    seconds, waited = spent["seconds"], spent["waited"]
    return _Progress(run, state, epoch, seconds, waited, checkpoints, writer)


def _train_together(
    setup: StepSetup,
    runs: Sequence[_Progress],
    frozen: Frozen,
    checkpoint_epochs: int,
) -> None:
    """To the last epoch, from the one that all of `runs` have come to."""
    steps = setup.steps_per_epoch
    for epoch in range(runs[0].epoch, setup.optim.epochs):
        start = time.perf_counter()
        found = _run_epoch(setup, runs, frozen)
        for progress, metrics in zip(runs, found, strict=True):
            _refuse_not_finite(metrics["loss"], epoch, steps, progress.run.directory)
        spent = (time.perf_counter() - start) / len(runs)
        rate = steps * setup.optim.batch_size / spent
        times = {"examples_per_second": rate, "epoch_seconds": spent}
        since = time.monotonic() - STARTED
        logging.log_first_n(
            logging.INFO, "first epoch done %.1f s after the program began", 1, since
        )
        for progress, metrics in zip(runs, found, strict=True):
            progress.epoch, progress.seconds = epoch + 1, progress.seconds + spent
            values = {"epoch": epoch, **metrics, **times}
            progress.writer.write_many(epoch * steps, values)
        if (epoch + 1) % checkpoint_epochs == 0 or epoch + 1 == setup.optim.epochs:
            for p in runs:
                spent = {"seconds": p.seconds, "waited": p.waited}
                p.checkpoints.save(p.epoch, p.state, p.run.source.loader, spent)


def _run_epoch(
    setup: StepSetup, runs: Sequence[_Progress], frozen: Frozen
) -> list[dict[str, np.ndarray]]:
    """Moves every run on by an epoch; the metrics of its steps, on the host."""
    parts = []
    for _ in range(runs[0].run.source.calls_per_epoch):
        batches = [progress.run.source.prepare(_next(progress)) for progress in runs]
        found = _run_call(setup, runs, frozen, batches)
        for progress, (state, _) in zip(runs, found, strict=True):
            progress.state = state
        parts.append([metrics for _, metrics in found])
    host = jax.device_get(parts)  # the epoch's only transfer back
    return [
        {name: np.concatenate([part[name] for part in calls]) for name in calls[0]}
        for calls in zip(*host, strict=True)
    ]


def _next(progress: _Progress) -> Any:
    """The loader's next element; what the device waited for it is counted."""
    start = time.perf_counter()
    element = next(progress.run.source.loader)
    if progress.state.step.is_ready():  # else the device had something to do
        progress.waited += time.perf_counter() - start
    return element


def _run_call(
    setup: StepSetup,
    runs: Sequence[_Progress],
    frozen: Frozen,
    batches: Sequence[Batch | RegionBatch],
) -> Sequence[tuple[TrainState, dict[str, jax.Array]]]:
    if len(runs) == 1:
        own = frozen._replace(hyper=runs[0].run.hyper)
        return [run_steps(setup, runs[0].state, own, batches[0])]
    states = tuple(progress.state for progress in runs)
    hypers = tuple(progress.run.hyper for progress in runs)
    return run_together(setup, states, hypers, frozen, tuple(batches))


def _refuse_not_finite(
    loss: np.ndarray, epoch: int, steps: int, directory: Path
) -> None:
    bad = np.flatnonzero(~np.isfinite(loss))
    if bad.size:
        raise UserError(
            f"the loss is {loss[bad[0]]} at step {epoch * steps + bad[0]} "
            f"(epoch {epoch}) of '{directory}'",
            "Lower the learning rate (--config.optim.lr) or look at the images; "
            "the last checkpoint is kept.",
        )

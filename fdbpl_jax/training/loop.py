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
from fdbpl_jax.learners.learner import Prompts
from fdbpl_jax.losses.loss import Batch
from fdbpl_jax.progress import progress
from fdbpl_jax.training.checkpoint import Checkpoints
from fdbpl_jax.training.metrics import MetricsWriter
from fdbpl_jax.training.state import Frozen, Hyper, RegionBatch, StepSetup, TrainState
from fdbpl_jax.training.step import Metrics, run_steps, run_together


class Source(NamedTuple):
    """Where training data come from."""

    loader: Iterator[Any]  # a checkpointable Grain iterator
    calls_per_epoch: int  # elements of the loader per epoch
    # One element as device batches with a leading axis of steps.
    prepare: Callable[[Any], Batch | RegionBatch]


class Run(NamedTuple):
    """One training of prompts."""

    state: TrainState  # where to start without a checkpoint; donated
    hyper: Hyper
    source: Source  # at its start
    directory: Path  # of the cell; gets `checkpoints/` and `metrics.jsonl`


class Saving(NamedTuple):
    """What is written during training."""

    checkpoint_epochs: int  # between checkpoints; the last epoch is always saved
    tensorboard: bool = False  # also write TensorBoard events


class TrainingResult(NamedTuple):
    """What training ends with."""

    prompts: Prompts
    running: Any  # running statistics of learners that have them
    steps: int
    seconds: float  # wall time
    waited: float  # of them at most so many in which the device waited for data


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

    def save(self) -> None:
        spent = {"seconds": self.seconds, "waited": self.waited}
        self.checkpoints.save(self.epoch, self.state, self.run.source.loader, spent)


def train(
    setup: StepSetup, runs: Sequence[Run], frozen: Frozen, saving: Saving
) -> list[TrainingResult]:
    """Train runs to the last epoch, each from the newest checkpoint it has, if any.

    Runs that have come equally far share every compiled call. A run that was killed
    goes on to the same prompts as one that was not.

    The wall seconds of runs that share calls are shared out equally.

    Raises:
      UserError: a loss that is not finite, naming the run; the last checkpoints stay.
    """
    with contextlib.ExitStack() as stack:
        started = [_start(stack, setup, run, saving.tensorboard) for run in runs]
        for epoch in sorted({progress.epoch for progress in started}):
            together = [p for p in started if p.epoch == epoch]
            _train_together(setup, together, frozen, saving.checkpoint_epochs)
    steps = setup.schedule.steps
    return [
        TrainingResult(
            final_prompts(p.state), p.state.running, steps, p.seconds, p.waited
        )
        for p in started
    ]


def final_prompts(state: TrainState) -> Prompts:
    """The prompts that training ends with: PromptSRC's are an average."""
    return state.prompts if state.average is None else state.average


def _start(
    stack: contextlib.ExitStack, setup: StepSetup, run: Run, tensorboard: bool
) -> _Progress:
    checkpoints = stack.enter_context(Checkpoints(run.directory / "checkpoints"))
    state, epoch, spent = checkpoints.restore(run.state, run.source.loader)
    step = epoch * setup.schedule.steps_per_epoch
    writer = MetricsWriter(run.directory, tensorboard, resume_step=step)
    stack.enter_context(writer)
    seconds, waited = spent["seconds"], spent["waited"]
    return _Progress(run, state, epoch, seconds, waited, checkpoints, writer)


def _train_together(
    setup: StepSetup, runs: Sequence[_Progress], frozen: Frozen, checkpoint_epochs: int
) -> None:
    """To the last epoch, from the one that all of `runs` have come to."""
    last = setup.schedule.epochs
    steps = (last - runs[0].epoch) * setup.schedule.steps_per_epoch
    with progress(_title(runs), steps, "step") as update:
        for epoch in range(runs[0].epoch, last):
            _train_epoch(setup, runs, frozen, update)
            if (epoch + 1) % checkpoint_epochs == 0 or epoch + 1 == last:
                for run in runs:
                    run.save()


def _title(runs: Sequence[_Progress]) -> str:
    """Data set, method and seed of the first, and how many more there are."""
    more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
    return "/".join(runs[0].run.directory.parts[-3:]) + more


def _train_epoch(
    setup: StepSetup,
    runs: Sequence[_Progress],
    frozen: Frozen,
    update: Callable[[int], object],
) -> None:
    """Advance every run by an epoch, and write its metrics."""
    start = time.perf_counter()
    metrics = _run_epoch(setup, runs, frozen, update)
    seconds = (time.perf_counter() - start) / len(runs)
    message = "first epoch done %.1f s after the program began"
    logging.log_first_n(logging.INFO, message, 1, time.monotonic() - STARTED)
    for run, of_run in zip(runs, metrics, strict=True):
        _refuse_not_finite(setup, run, of_run["loss"])
    for run, of_run in zip(runs, metrics, strict=True):
        _record_epoch(setup, run, of_run, seconds)


def _record_epoch(
    setup: StepSetup,
    progress: _Progress,
    metrics: dict[str, np.ndarray],
    seconds: float,
) -> None:
    """Count the epoch as done and write its metrics."""
    steps = setup.schedule.steps_per_epoch
    rate = steps * setup.batch_size / seconds
    times = {"examples_per_second": rate, "epoch_seconds": seconds}
    values: dict[str, Any] = {"epoch": progress.epoch, **metrics, **times}
    progress.writer.write_many(progress.epoch * steps, values)
    progress.epoch, progress.seconds = progress.epoch + 1, progress.seconds + seconds


def _run_epoch(
    setup: StepSetup,
    runs: Sequence[_Progress],
    frozen: Frozen,
    update: Callable[[int], object],
) -> list[dict[str, np.ndarray]]:
    """Advance every run by an epoch; the metrics of its steps, on the host.

    `update` is told of the steps that are done.
    """
    calls: list[list[Metrics]] = []
    for _ in range(runs[0].run.source.calls_per_epoch):
        batches = [run.run.source.prepare(_next(run)) for run in runs]
        results = _run_call(setup, runs, frozen, batches)
        for run, (state, _) in zip(runs, results, strict=True):
            run.state = state
        if calls:  # the device has another call in work meanwhile
            jax.block_until_ready(calls[-1])
            update(len(calls[-1][0]["loss"]))
        calls.append([metrics for _, metrics in results])
    host = jax.device_get(calls)  # the epoch's only transfer back
    update(len(host[-1][0]["loss"]))
    return [
        {name: np.concatenate([call[name] for call in of_run]) for name in of_run[0]}
        for of_run in zip(*host, strict=True)
    ]


def _next(progress: _Progress) -> Any:
    """The loader's next element; what the device waited for it is counted."""
    start = time.perf_counter()
    element = next(progress.run.source.loader)
    # While the device still computes, nothing waits.
    if progress.state.step.is_ready():  # type: ignore[attr-defined]
        progress.waited += time.perf_counter() - start
    return element


def _run_call(
    setup: StepSetup,
    runs: Sequence[_Progress],
    frozen: Frozen,
    batches: Sequence[Batch | RegionBatch],
) -> Sequence[tuple[TrainState, Metrics]]:
    states = tuple(progress.state for progress in runs)
    hypers = tuple(progress.run.hyper for progress in runs)
    if len(runs) == 1:
        return [run_steps(setup, states[0], hypers[0], frozen, batches[0])]
    return run_together(setup, states, hypers, frozen, tuple(batches))


def _refuse_not_finite(setup: StepSetup, progress: _Progress, loss: np.ndarray) -> None:
    bad = np.flatnonzero(~np.isfinite(loss))
    if bad.size:
        step = progress.epoch * setup.schedule.steps_per_epoch + bad[0]
        raise UserError(
            f"the loss is {loss[bad[0]]} at step {step} (epoch {progress.epoch}) of "
            f"'{progress.run.directory}'",
            "Lower the learning rate (--config.optim.lr) or look at the images; "
            "the last checkpoint is kept.",
        )

"""The training loop, the same for every method."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from fdbpl_jax.checkpoint import Checkpoints
from fdbpl_jax.errors import UserError
from fdbpl_jax.metrics import MetricsWriter
from fdbpl_jax.objectives.batch import Batch
from fdbpl_jax.step import Frozen, RegionBatch, StepSetup, TrainState, run_steps


class Source(NamedTuple):
    """Where training data come from.

    loader: a checkpointable Grain iterator. calls_per_epoch: its elements an epoch.
    prepare: one element as device batches with a leading axis of steps.
    """

    loader: Iterator[Any]
    calls_per_epoch: int
    prepare: Callable[[Any], Batch | RegionBatch]


class Trained(NamedTuple):
    """What training ends with: {"positive": …, "negative": …}, steps, wall seconds."""

    prompts: dict
    steps: int
    seconds: float


def train(
    setup: StepSetup,
    state: TrainState,
    frozen: Frozen,
    source: Source,
    directory: Path,
    checkpoint_epochs: int,
    tensorboard: bool = False,
) -> Trained:
    """Trains to the last epoch, from the newest checkpoint in `directory` if any.

    A run that was killed goes on to the same prompts as one that was not.

    Args:
      setup: what the step is compiled for.
      state: where to start without a checkpoint; it is donated.
      frozen: the text tower, the scale and the layouts.
      source: the training data, at its start.
      directory: of the cell; gets `checkpoints/` and `metrics.jsonl`.
      checkpoint_epochs: epochs between checkpoints; the last one is always saved.
      tensorboard: also write TensorBoard events.

    Raises:
      UserError: a loss that is not finite; the last checkpoint stays.
    """
    epochs, steps = setup.optim.epochs, setup.steps_per_epoch
    with Checkpoints(directory / "checkpoints") as checkpoints:
        state, first, seconds = checkpoints.restore(state, source.loader)
        with MetricsWriter(directory, tensorboard, resume_step=first * steps) as writer:
            for epoch in range(first, epochs):
                start = time.perf_counter()
                state, metrics = _run_epoch(setup, state, frozen, source)
                _refuse_not_finite(metrics["loss"], epoch, steps, directory)
                spent = time.perf_counter() - start
                seconds += spent
                metrics["examples_per_second"] = np.full(
                    steps, steps * setup.optim.batch_size / spent
                )
                writer.write_many(epoch * steps, {"epoch": epoch, **metrics})
                if (epoch + 1) % checkpoint_epochs == 0 or epoch + 1 == epochs:
                    checkpoints.save(epoch + 1, state, source.loader, seconds)
    return Trained(state.prompts, epochs * steps, seconds)


def _run_epoch(
    setup: StepSetup, state: TrainState, frozen: Frozen, source: Source
) -> tuple[TrainState, dict[str, np.ndarray]]:
    """The state after one epoch and the metrics of its steps, on the host."""
    parts = []
    for _ in range(source.calls_per_epoch):
        batches = source.prepare(next(source.loader))
        state, metrics = run_steps(setup, state, frozen, batches)
        parts.append(metrics)
    host = jax.device_get(parts)  # the epoch's only transfer back
    return state, {name: np.concatenate([p[name] for p in host]) for name in host[0]}


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

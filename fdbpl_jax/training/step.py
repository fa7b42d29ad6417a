"""The compiled part of training: many prompt updates in one call.

Only the small prompt state is donated and differentiated; the frozen towers are an
argument, so one compilation serves every seed.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fdbpl_jax.learners.learner import Prompts
from fdbpl_jax.losses.loss import Batch, LossWeights, Scalar, Terms
from fdbpl_jax.losses.regularizers import epoch_weights
from fdbpl_jax.ril.labels import densify, entropy, information_weight
from fdbpl_jax.training.loss import losses
from fdbpl_jax.training.schedule import learning_rate, sgd
from fdbpl_jax.training.state import Frozen, Hyper, RegionBatch, StepSetup, TrainState

Metrics = dict[str, Float[Array, "*steps"]]


@functools.partial(jax.jit, static_argnames="setup", donate_argnames="state")
def run_steps(
    setup: StepSetup,
    state: TrainState,
    hyper: Hyper,
    frozen: Frozen,
    batches: Batch | RegionBatch,
) -> tuple[TrainState, Metrics]:
    """Run one update for each leading entry of `batches` without leaving the device.

    The metrics are by name the loss, its terms, statistics of w and the learning rate
    of every step.
    """
    return _scan(setup, state, hyper, frozen, batches)


@functools.partial(jax.jit, static_argnames="setup", donate_argnames="states")
def run_together(
    setup: StepSetup,
    states: tuple[TrainState, ...],
    hypers: tuple[Hyper, ...],
    frozen: Frozen,
    batches: tuple[Batch | RegionBatch, ...],
) -> tuple[tuple[TrainState, Metrics], ...]:
    """Run `run_steps` for several runs at once, each with its own batches.

    The frozen tower is shared: products of all runs' prompts with it become one. The
    results equal those of one run at a time to float32 rounding. `states` are donated.
    """
    state, hyper, batch = (
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *runs)
        for runs in (states, hypers, batches)
    )
    scan = functools.partial(_scan, setup)
    results = jax.vmap(scan, in_axes=(0, 0, None, 0))(state, hyper, frozen, batch)
    runs = range(len(states))
    return tuple(jax.tree.map(lambda x, i=i: x[i], results) for i in runs)


def _scan(
    setup: StepSetup,
    state: TrainState,
    hyper: Hyper,
    frozen: Frozen,
    batches: Batch | RegionBatch,
) -> tuple[TrainState, Metrics]:
    def body(state: TrainState, batch: Batch | RegionBatch):
        dense = _from_regions(setup, batch) if isinstance(batch, RegionBatch) else batch
        return _step(setup, state, hyper, frozen, dense)

    return jax.lax.scan(body, state, batches)  # type: ignore[arg-type]


def _step(
    setup: StepSetup, state: TrainState, hyper: Hyper, frozen: Frozen, batch: Batch
) -> tuple[TrainState, Metrics]:
    loss, terms, running, gradient = _gradient(setup, state, hyper, frozen, batch)
    rate = learning_rate(setup.schedule, hyper.lr, state.step)
    descent, momentum = sgd(setup.schedule).update(
        gradient, state.momentum, state.prompts
    )
    updates = jax.tree.map(lambda direction: -rate * direction, descent)
    prompts = optax.apply_updates(state.prompts, updates)
    metrics = {"loss": loss, **terms, **_weight_statistics(batch), "lr": rate}
    average = _averaged(setup, state, prompts)
    return TrainState(state.step + 1, prompts, momentum, average, running), metrics


def _gradient(
    setup: StepSetup, state: TrainState, hyper: Hyper, frozen: Frozen, batch: Batch
) -> tuple[Scalar, Terms, Any, Prompts]:
    """Loss, terms, running statistics, and the gradient that the update descends."""

    weights = LossWeights(hyper.weights, setup.terms, setup.left_out)

    def of_prompts(prompts: Prompts):
        return losses(setup, prompts, state.running, weights, frozen, batch)

    values, backward, (terms, running) = jax.vjp(
        of_prompts, state.prompts, has_aux=True
    )
    selected, other = jnp.ones(()), jnp.zeros(())
    (gradient,) = backward(type(values)(selected, other))
    regularizer = setup.method.regularizer
    if regularizer and regularizer.combine:
        (general,) = backward(type(values)(other, selected))
        gradient = regularizer.combine(gradient, general, weights)
    return values.loss, terms, running, gradient


def _averaged(setup: StepSetup, state: TrainState, prompts: Prompts) -> Prompts | None:
    """PromptSRC's average of prompts, taken on after the last step of an epoch."""
    if state.average is None:
        return None
    steps = setup.schedule.steps_per_epoch
    weights = epoch_weights(setup.schedule.epochs, *setup.averaging)
    ends = (state.step + 1) % steps == 0
    weight = jnp.where(ends, weights[state.step // steps], 0.0)
    return jax.tree.map(lambda a, p: a + weight * p, state.average, prompts)


def _weight_statistics(batch: Batch) -> Terms:
    """Statistics of the information weight, for methods that have one."""
    if batch.weight is None:
        return {}
    return {
        "w_mean": jnp.mean(batch.weight),
        "w_std": jnp.std(batch.weight),
        "w_min": jnp.min(batch.weight),
        "w_max": jnp.max(batch.weight),
    }


def _from_regions(setup: StepSetup, rows: RegionBatch) -> Batch:
    """Whole labels and information weights of stored rows (equations 4–6)."""
    teacher = densify(rows.label_index, rows.label_prob, setup.classes, setup.label)
    uncertainty = entropy(teacher) if setup.sparse_weight else rows.entropy
    weight = information_weight(uncertainty, setup.classes)
    feature = rows.feature.astype(jnp.float32)
    return Batch(feature, rows.label, teacher, weight, rows.pixels)

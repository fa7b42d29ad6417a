"""The compiled part of training: many prompt updates in one call.

Only the small prompt state is donated and differentiated; the frozen towers are an
argument, so one compilation serves every seed.
"""

import functools

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fdbpl_jax.losses.batch import Batch
from fdbpl_jax.losses.regularizers import epoch_weights, prograd
from fdbpl_jax.ril.labels import densify, entropy, information_weight
from fdbpl_jax.training.loss import losses
from fdbpl_jax.training.schedule import learning_rate, optimiser
from fdbpl_jax.training.state import Frozen, Hyper, RegionBatch, StepSetup, TrainState


def init_state(
    setup: StepSetup, prompts: dict, running: dict | None = None
) -> TrainState:
    """The state before the first step.

    Args:
      setup: what the step is compiled for.
      prompts: where they start.
      running: PromptKD's running mean and variance.
    """
    transformation = optimiser(setup.optim, setup.steps_per_epoch, 0.0)
    averaged = setup.method.term == "promptsrc"
    average = jax.tree.map(jnp.zeros_like, prompts) if averaged else {}
    step = jnp.zeros((), jnp.int32)
    momentum = transformation.init(prompts)
    return TrainState(step, prompts, momentum, average, running or {})


def final_prompts(state: TrainState) -> dict:
    """The prompts that training ends with, PromptKD's with its mean and variance."""
    prompts = state.average or state.prompts
    if not state.running:
        return prompts
    return {"positive": prompts["positive"] | {"running": state.running}}


@functools.partial(jax.jit, static_argnames="setup", donate_argnames="state")
def run_steps(
    setup: StepSetup, state: TrainState, frozen: Frozen, batches: Batch | RegionBatch
) -> tuple[TrainState, dict[str, Float[Array, " steps"]]]:
    """One update for each leading entry of `batches`, without leaving the device.

    Returns:
      The new state, and by name the loss, its terms, statistics of w and the learning
      rate of every step.
    """

    return _scan(setup, state, frozen, batches)


@functools.partial(jax.jit, static_argnames="setup", donate_argnames="states")
def run_together(
    setup: StepSetup,
    states: tuple[TrainState, ...],
    hypers: tuple[Hyper, ...],
    frozen: Frozen,
    batches: tuple[Batch | RegionBatch, ...],
) -> tuple[tuple[TrainState, dict[str, Float[Array, " steps"]]], ...]:
    """`run_steps` of several runs at once, each with its own batches.

    The frozen tower is shared: products of all runs' prompts with it become one. The
    results equal those of one run at a time to float32 rounding.

    Args:
      setup: of all of them.
      states: of each; donated.
      hypers: of each, in place of `frozen.hyper`.
      frozen: the tower, shared.
      batches: of each.
    """

    def one(state: TrainState, hyper: Hyper, own: Batch | RegionBatch):
        return _scan(setup, state, frozen._replace(hyper=hyper), own)

    stacked = [
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *runs)
        for runs in (states, hypers, batches)
    ]
    found = jax.vmap(one)(*stacked)
    return tuple(jax.tree.map(lambda x, i=i: x[i], found) for i in range(len(states)))


def _scan(
    setup: StepSetup, state: TrainState, frozen: Frozen, batches: Batch | RegionBatch
) -> tuple[TrainState, dict[str, Array]]:
    def body(state: TrainState, batch: Batch | RegionBatch):
        return _step(setup, state, frozen, batch)

    return jax.lax.scan(body, state, batches)


def _step(
    setup: StepSetup, state: TrainState, frozen: Frozen, batch: Batch | RegionBatch
) -> tuple[TrainState, dict[str, Array]]:
    dense = _from_regions(setup, batch) if isinstance(batch, RegionBatch) else batch
    loss, terms, running, gradient = _gradient(setup, state, frozen, dense)
    lr = frozen.hyper.lr
    transformation = optimiser(setup.optim, setup.steps_per_epoch, lr)
    updates, optimiser_state = transformation.update(
        gradient, state.optimiser, state.prompts
    )
    prompts = optax.apply_updates(state.prompts, updates)
    rate = learning_rate(setup.optim, setup.steps_per_epoch, lr)(state.step)
    metrics = {"loss": loss, **terms, **_weights(dense), "lr": rate}
    average = _averaged(setup, state, prompts)
    return TrainState(
        state.step + 1, prompts, optimiser_state, average, running
    ), metrics


def _gradient(
    setup: StepSetup, state: TrainState, frozen: Frozen, batch: Batch
) -> tuple[Float[Array, ""], dict, dict, dict]:
    """Loss, terms, running statistics, and the gradient that the update goes by."""

    def of_prompts(prompts: dict):
        return losses(setup, prompts, state.running, frozen, batch)

    found, back, (terms, running) = jax.vjp(of_prompts, state.prompts, has_aux=True)
    one, none = jnp.ones(()), jnp.zeros(())
    (gradient,) = back(type(found)(one, none))
    if setup.method.term == "prograd":
        (general,) = back(type(found)(none, one))
        share = setup.terms.prograd
        gradient = jax.tree.map(lambda a, b: prograd(a, b, share), gradient, general)
    return found.loss, terms, running, gradient


def _averaged(setup: StepSetup, state: TrainState, prompts: dict) -> dict:
    """PromptSRC's average of prompts, taken on after the last step of an epoch."""
    if not state.average:
        return state.average
    terms, steps = setup.terms, setup.steps_per_epoch
    weights = epoch_weights(
        setup.optim.epochs, terms.promptsrc_mean, terms.promptsrc_std
    )
    ends = (state.step + 1) % steps == 0
    weight = jnp.where(ends, weights[state.step // steps], 0.0)
    return jax.tree.map(lambda a, p: a + weight * p, state.average, prompts)


def _weights(batch: Batch) -> dict[str, Float[Array, ""]]:
    """Statistics of the information weight, for methods that have one."""
    if batch.weight is None:
        return {}
    of = {"mean": jnp.mean, "std": jnp.std, "min": jnp.min, "max": jnp.max}
    return {f"w_{name}": found(batch.weight) for name, found in of.items()}


def _from_regions(setup: StepSetup, rows: RegionBatch) -> Batch:
    """Whole labels and information weights of stored rows (equations 4–6)."""
    teacher = densify(rows.label_index, rows.label_prob, setup.classes, setup.label)
    sparse = (
        setup.method.loss == "fdbpl_release"  # as the released code does
        or setup.weight_from == "sparse"
    )
    weight = information_weight(
        entropy(teacher) if sparse else rows.entropy, setup.classes
    )
    feature = rows.feature.astype(jnp.float32)
    return Batch(feature, rows.label, teacher, weight, rows.pixels)

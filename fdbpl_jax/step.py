"""The compiled part of training: many prompt updates in one call.

Only the small prompt state is donated and differentiated; the frozen text tower is an
argument, so one compilation serves every seed.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fdbpl_jax.clip.config import TextConfig
from fdbpl_jax.clip.layout import PromptLayout
from fdbpl_jax.config import FdbplConfig, OptimConfig
from fdbpl_jax.methods import Method
from fdbpl_jax.objectives.batch import Batch
from fdbpl_jax.objectives.cross_entropy import cross_entropy
from fdbpl_jax.objectives.fdbpl import FdbplWeights, fdbpl, loss_weights
from fdbpl_jax.objectives.fdbpl_release import fdbpl_release
from fdbpl_jax.objectives.kdpl import kdpl
from fdbpl_jax.optim import learning_rate, optimiser
from fdbpl_jax.prompts.coop import text_features
from fdbpl_jax.ril.labels import densify, entropy, information_weight


@dataclasses.dataclass(frozen=True)
class StepSetup:
    """All that a training step is compiled for."""

    text: TextConfig
    classes: int
    method: Method
    optim: OptimConfig  # but for its lr, see `Hyper`
    weight_from: str  # FdbplConfig.weight_from
    label: str  # RilConfig.label
    steps_per_epoch: int


class TrainState(NamedTuple):
    """What training changes.

    step: i32. prompts: {"positive": {"context": …}, "negative": …}. optimiser: Optax's.
    """

    step: jax.Array
    prompts: dict
    optimiser: optax.OptState


class Hyper(NamedTuple):
    """What differs between runs of one compiled step: peak rate and FDBPL's weights.

    All float32 scalars on the device.
    """

    lr: jax.Array
    weights: FdbplWeights


class Frozen(NamedTuple):
    """What training reads.

    text: the tower. scale: exp(logit_scale). layout: of all prompts. hyper: this run's.
    """

    text: dict
    scale: jax.Array
    layout: PromptLayout
    hyper: Hyper


class RegionBatch(NamedTuple):
    """Rows of a RIL table.

    feature [B D] float16, label [B], label_index [B K], label_prob [B K], entropy [B].
    """

    feature: jax.Array
    label: jax.Array
    label_index: jax.Array
    label_prob: jax.Array
    entropy: jax.Array


def hyper_parameters(optim: OptimConfig, settings: FdbplConfig) -> Hyper:
    """Those of a config, on the device."""
    return Hyper(jnp.float32(optim.lr), loss_weights(settings))


def init_state(setup: StepSetup, prompts: dict) -> TrainState:
    """The state before the first step."""
    transformation = optimiser(setup.optim, setup.steps_per_epoch, 0.0)
    return TrainState(jnp.zeros((), jnp.int32), prompts, transformation.init(prompts))


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
    (loss, terms), gradient = jax.value_and_grad(_loss, argnums=1, has_aux=True)(
        setup, state.prompts, frozen, dense
    )
    lr = frozen.hyper.lr
    transformation = optimiser(setup.optim, setup.steps_per_epoch, lr)
    updates, optimiser_state = transformation.update(
        gradient, state.optimiser, state.prompts
    )
    prompts = optax.apply_updates(state.prompts, updates)
    metrics = {
        "loss": loss,
        **terms,
        "w_mean": jnp.mean(dense.weight),
        "w_std": jnp.std(dense.weight),
        "w_min": jnp.min(dense.weight),
        "w_max": jnp.max(dense.weight),
        "lr": learning_rate(setup.optim, setup.steps_per_epoch, lr)(state.step),
    }
    return TrainState(state.step + 1, prompts, optimiser_state), metrics


def _loss(
    setup: StepSetup, prompts: dict, frozen: Frozen, batch: Batch
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    text = _text_features(setup, prompts, frozen)
    objective, scale = setup.method.objective, frozen.scale
    if objective == "cross_entropy":
        return cross_entropy(batch, text["positive"], scale)
    if objective == "kdpl":
        return kdpl(batch, text["positive"], scale)
    if objective == "fdbpl":
        branches = (text["positive"], text["negative"])
        return fdbpl(batch, *branches, scale, frozen.hyper.weights)
    if objective == "fdbpl_release":
        return fdbpl_release(batch, text["positive"], text["negative"], scale)
    raise ValueError(f"objective {objective} has no loss")


def _text_features(
    setup: StepSetup, prompts: dict, frozen: Frozen
) -> dict[str, Float[Array, "C D"]]:
    """Of each prompt; both go through the tower in one pass."""
    encode = functools.partial(text_features, setup.text, frozen.text, frozen.layout)
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *prompts.values())
    return dict(zip(prompts, jax.vmap(encode)(together), strict=True))


def _from_regions(setup: StepSetup, rows: RegionBatch) -> Batch:
    """Whole labels and information weights of stored rows (equations 4–6)."""
    teacher = densify(rows.label_index, rows.label_prob, setup.classes, setup.label)
    sparse = (
        setup.method.objective == "fdbpl_release"  # as the released code does
        or setup.weight_from == "sparse"
    )
    weight = information_weight(
        entropy(teacher) if sparse else rows.entropy, setup.classes
    )
    feature = rows.feature.astype(jnp.float32)
    return Batch(feature, rows.label, teacher, weight)

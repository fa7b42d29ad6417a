"""What a training step is compiled for, what it changes and what it reads."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fdbpl_jax.clip.layout import NameList, PromptLayout
from fdbpl_jax.config import FdbplConfig, OptimConfig, TermConfig
from fdbpl_jax.learners.learner import Student
from fdbpl_jax.losses.fdbpl import FdbplWeights, loss_weights
from fdbpl_jax.methods.method import Method


@dataclasses.dataclass(frozen=True)
class StepSetup:
    """All that a training step is compiled for."""

    student: Student
    classes: int
    method: Method
    optim: OptimConfig  # but for its lr, see `Hyper`
    terms: TermConfig
    weight_from: str  # FdbplConfig.weight_from
    label: str  # RilConfig.label
    steps_per_epoch: int


class TrainState(NamedTuple):
    """What training changes.

    step: i32. prompts: {"positive": …, "negative": …}, see `prompts.learner`.
    optimiser: Optax's. average: of prompts over epochs, PromptSRC's; else empty.
    running: PromptKD's running mean and variance; else empty.
    """

    step: jax.Array
    prompts: dict
    optimiser: optax.OptState
    average: dict
    running: dict


class Hyper(NamedTuple):
    """What differs between runs of one compiled step: peak rate and FDBPL's weights.

    All float32 scalars on the device.
    """

    lr: jax.Array
    weights: FdbplWeights


class Frozen(NamedTuple):
    """What training reads.

    towers: {"text": …, "vision": …}, as far as the step runs them. scale:
    exp(logit_scale). layout: of the positive prompt. negative: of the negative prompt;
    None: both have the same. classes [C D]: text features that are not learned, where
    they are not. written [C D]: of hand-written text, where a term holds on to them.
    hyper: this run's.
    """

    towers: dict[str, Any]
    scale: jax.Array
    layout: PromptLayout | NameList | None
    negative: PromptLayout | NameList | None
    classes: jax.Array | None
    written: jax.Array | None
    hyper: Hyper


class RegionBatch(NamedTuple):
    """Rows of a RIL table.

    feature [B D] float16, label [B], label_index [B K], label_prob [B K], entropy [B],
    and the regions themselves, pixels [B S S 3], where the image tower is prompted.
    """

    feature: jax.Array
    label: jax.Array
    label_index: jax.Array
    label_prob: jax.Array
    entropy: jax.Array
    pixels: jax.Array | None = None


def hyper_parameters(optim: OptimConfig, settings: FdbplConfig) -> Hyper:
    """Those of a config, on the device."""
    return Hyper(jnp.float32(optim.lr), loss_weights(settings))

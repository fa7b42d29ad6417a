"""What a training step is compiled for, what it changes and what it reads."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fdbpl_jax.config import FdbplConfig, TermConfig
from fdbpl_jax.learners.learner import Prompts, Student
from fdbpl_jax.losses.loss import (
    NEGATIVE_TERMS,
    FdbplWeights,
    OptionalArray,
    fdbpl_weights,
)
from fdbpl_jax.methods.table import Method
from fdbpl_jax.training.schedule import Schedule, sgd


@dataclasses.dataclass(frozen=True)
class StepSetup:
    """All that a training step is compiled for."""

    student: Student
    classes: int  # C
    method: Method
    schedule: Schedule
    batch_size: int
    averaging: tuple[float, float] | None  # mean and std of PromptSRC's average, epochs
    terms: TermConfig  # weights of other losses and regularizers
    sparse_weight: bool  # w from the stored label instead of the stored entropy
    label: str  # RilConfig.label
    left_out: frozenset[str] = frozenset()  # FDBPL's terms of weight 0

    @property
    def reads_negative(self) -> bool:
        """Whether the loss has a term that the negative prompt changes."""
        loss = self.method.loss
        unused = loss.fdbpl_weights and self.left_out.issuperset(NEGATIVE_TERMS)
        return loss.negative and not unused


class TrainState(NamedTuple):
    """What training changes."""

    step: jax.Array  # i32
    prompts: Prompts
    momentum: optax.OptState
    average: Prompts | None  # PromptSRC's, over epochs
    running: Any  # running statistics of learners that have them


class Hyper(NamedTuple):
    """What differs between runs of one compiled step: rate and FDBPL's weights."""

    lr: jax.Array  # peak rate, float32
    weights: FdbplWeights


class Frozen(NamedTuple):
    """What training reads and never changes."""

    towers: dict[str, Any]  # {"text": …, "vision": …}, as far as the step runs them
    scale: jax.Array  # exp(logit_scale)
    # `PromptLayout`s, or `NameList`s to choose from. None: no text is learned; both
    # prompts have the first one.
    layout: Any  # of the positive prompt
    negative: Any  # of the negative prompt
    classes: OptionalArray  # [C D], text features where they are not learned
    written: OptionalArray  # [C D], of hand-written text, for regularizers


class RegionBatch(NamedTuple):
    """Rows of a RIL table."""

    feature: jax.Array  # [B D] float16
    label: jax.Array  # [B]
    label_index: jax.Array  # [B K]
    label_prob: jax.Array  # [B K]
    entropy: jax.Array  # [B]
    pixels: OptionalArray = None  # [B S S 3], for prompted image towers


def hyper_parameters(lr: float, fdbpl: FdbplConfig) -> Hyper:
    """Rate and weights of a config, on the device."""
    return Hyper(jnp.float32(lr), fdbpl_weights(fdbpl))


def init_state(setup: StepSetup, prompts: Prompts, running: Any = None) -> TrainState:
    """The state before the first step, from initial prompts and running statistics."""
    average = jax.tree.map(jnp.zeros_like, prompts) if setup.averaging else None
    momentum = sgd(setup.schedule).init(prompts)
    return TrainState(jnp.zeros((), jnp.int32), prompts, momentum, average, running)

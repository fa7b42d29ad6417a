"""The optimiser of the field's recipes: torch's SGD and a cosine stepped by epochs."""

import dataclasses

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from fdbpl_jax.config import OptimConfig


@dataclasses.dataclass(frozen=True)
class Schedule:
    """All of the optimiser but its peak rate, which is given to each step."""

    epochs: int
    steps_per_epoch: int
    momentum: float
    weight_decay: float
    warmup_epochs: int
    warmup_lr: float

    @property
    def steps(self) -> int:
        """Updates of a whole training."""
        return self.epochs * self.steps_per_epoch


def schedule_of(optim: OptimConfig, steps_per_epoch: int) -> Schedule:
    """The schedule of a config, for so many steps per epoch."""
    return Schedule(
        optim.epochs,
        steps_per_epoch,
        optim.momentum,
        optim.weight_decay,
        optim.warmup_epochs,
        optim.warmup_lr,
    )


def learning_rate(
    schedule: Schedule, peak: float | Float[Array, ""], step: int | Int[Array, ""]
) -> Float[Array, ""]:
    """Rate of a step: constant warm-up epochs, then `½ peak (1 + cos π(e − W)/E)`.

    The rate changes once per epoch and the cosine spans E epochs counted from the end
    of the W warm-up ones, as in Dassl's scheduler, which CoOp and KDPL train with.
    """
    by_epoch = optax.join_schedules(
        [
            optax.constant_schedule(schedule.warmup_lr),
            optax.cosine_decay_schedule(peak, schedule.epochs),
        ],
        [schedule.warmup_epochs],
    )
    return jnp.asarray(by_epoch(step // schedule.steps_per_epoch))


def sgd(schedule: Schedule) -> optax.GradientTransformation:
    """Momentum and coupled weight decay of `torch.optim.SGD`, before the rate."""
    return optax.chain(
        optax.add_decayed_weights(schedule.weight_decay),
        optax.trace(decay=schedule.momentum),
    )

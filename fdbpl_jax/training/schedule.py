"""The optimiser of the field's recipes: torch's SGD and a cosine stepped by epochs."""

import jax
import optax
from jaxtyping import Float

from fdbpl_jax.config import OptimConfig

Rate = float | Float[jax.Array, ""]


def learning_rate(optim: OptimConfig, steps_per_epoch: int, lr: Rate) -> optax.Schedule:
    """Learning rate by step: constant warm-up epochs, then `½ lr (1 + cos π(e − W)/E)`.

    `lr` may be traced, and `optim.lr` is not looked at: other rates compile nothing.

    The rate changes once an epoch and the cosine spans E epochs counted from the end of
    the W warm-up ones, as in Dassl's scheduler, which CoOp and KDPL train with.
    """
    by_epoch = optax.join_schedules(
        [
            optax.constant_schedule(optim.warmup_lr),
            optax.cosine_decay_schedule(lr, optim.epochs),
        ],
        [optim.warmup_epochs],
    )
    return lambda step: by_epoch(step // steps_per_epoch)


def optimiser(
    optim: OptimConfig, steps_per_epoch: int, lr: Rate
) -> optax.GradientTransformation:
    """SGD with momentum and coupled weight decay, equal to `torch.optim.SGD`."""
    return optax.chain(
        optax.add_decayed_weights(optim.weight_decay),
        optax.trace(decay=optim.momentum),
        optax.scale_by_learning_rate(learning_rate(optim, steps_per_epoch, lr)),
    )

"""KDPL's objective: symmetric KL to a teacher, no labels (Mistretta et al., 2024)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.objectives.batch import Batch
from fdbpl_jax.objectives.divergence import class_logits, kl_from_logits, kl_to_logits


def kdpl(
    batch: Batch, text: Float[Array, "C D"], scale: Float[Array, ""]
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Mean of ½ KL(t ‖ p) + ½ KL(p ‖ t), and its terms by name."""
    logits = class_logits(batch.feature, text, scale)
    forward = jnp.mean(kl_to_logits(batch.teacher, logits))
    # A computed teacher is never exactly zero: the floor only guards log(0).
    reverse = jnp.mean(kl_from_logits(logits, batch.teacher, epsilon=1e-30))
    loss = 0.5 * forward + 0.5 * reverse
    return loss, {"kl_forward": forward, "kl_reverse": reverse}

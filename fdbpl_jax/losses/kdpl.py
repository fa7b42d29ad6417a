"""KDPL's objective: symmetric KL to a teacher, no labels (Mistretta et al., 2024)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fdbpl_jax.losses.batch import Seen
from fdbpl_jax.losses.divergence import class_logits, kl_from_logits, kl_to_logits


def kdpl(
    seen: Seen, scale: Float[Array, ""]
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Mean of ½ KL(t ‖ p) + ½ KL(p ‖ t), and its terms by name."""
    logits = class_logits(seen.image, seen.text, scale)
    teacher = seen.batch.teacher
    forward = jnp.mean(kl_to_logits(teacher, logits))
    # A computed teacher is never exactly zero: the floor only guards log(0).
    reverse = jnp.mean(kl_from_logits(logits, teacher, epsilon=1e-30))
    loss = 0.5 * forward + 0.5 * reverse
    return loss, {"kl_forward": forward, "kl_reverse": reverse}


def class_agnostic(
    logits: Float[Array, "B V"], keep: int
) -> tuple[Int[Array, " K"], Float[Array, "B K"]]:
    """The names of a list that a batch is distilled on, as KDPL does without classes.

    Args:
      logits: the teacher's, of every name of the list.
      keep: K, how many.

    Returns:
      The `keep` names whose mean probability is highest, ascending, and the teacher's
      probabilities among them.
    """
    _, chosen = jax.lax.top_k(jnp.mean(jax.nn.softmax(logits), axis=0), keep)
    chosen = jnp.sort(chosen)
    return chosen, jax.nn.softmax(logits[:, chosen])

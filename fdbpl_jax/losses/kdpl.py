"""Losses of distillation with the teacher online: KDPL's and PromptKD's."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fdbpl_jax.losses.divergence import class_logits, kl_from_logits, kl_to_logits
from fdbpl_jax.losses.loss import Loss, LossWeights, ModelOutputs, Scalar, Terms


def kdpl(
    outputs: ModelOutputs, weights: LossWeights | None = None
) -> tuple[Scalar, Terms]:
    """Mean of ½ KL(t ‖ p) + ½ KL(p ‖ t), without labels (Mistretta et al., 2024)."""
    logits = class_logits(outputs.image, outputs.text, outputs.scale)
    teacher = outputs.batch.teacher
    forward = jnp.mean(kl_to_logits(teacher, logits))
    # A computed teacher is never exactly zero: the floor only guards log(0).
    reverse = jnp.mean(kl_from_logits(logits, teacher, epsilon=1e-30))
    loss = 0.5 * forward + 0.5 * reverse
    return loss, {"kl_forward": forward, "kl_reverse": reverse}


def class_agnostic(
    logits: Float[Array, "B V"], keep: int
) -> tuple[Int[Array, " K"], Float[Array, "B K"]]:
    """Choose the names of a list that a batch is distilled on, from teacher logits.

    They are the K = `keep` names whose mean probability is highest, ascending; beside
    them the teacher's probabilities among them. KDPL does so without classes.
    """
    _, chosen = jax.lax.top_k(jnp.mean(jax.nn.softmax(logits), axis=0), keep)
    chosen = jnp.sort(chosen)
    return chosen, jax.nn.softmax(logits[:, chosen])


def promptkd(outputs: ModelOutputs, weights: LossWeights) -> tuple[Scalar, Terms]:
    """Weighted KL(teacher ‖ student), summed and divided by B·C (Li et al., 2024)."""
    logits = class_logits(outputs.image, outputs.text, outputs.scale)
    loss = jnp.sum(kl_to_logits(outputs.batch.teacher, logits)) / logits.size
    return weights.terms.promptkd * loss, {"kl_forward": loss}


KDPL = Loss("kdpl", kdpl, online=True)
PROMPTKD = Loss("promptkd", promptkd, online=True, term_weights=True)

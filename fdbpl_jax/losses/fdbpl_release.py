"""The loss that FDBPL's released code trains, which differs from the paper's.

Its second-order term is a sum over ordered pairs of an antisymmetric quantity and so is
zero whatever the prompts are; it is left out.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.losses.divergence import class_logits, kl_from_logits, kl_to_logits
from fdbpl_jax.losses.fdbpl import PAPER_OPTIM
from fdbpl_jax.losses.loss import Loss, LossWeights, ModelOutputs, Scalar, Terms

_COSINE_WEIGHT = 0.001  # the release's constant


def fdbpl_release(
    outputs: ModelOutputs, weights: LossWeights | None = None
) -> tuple[Scalar, Terms]:
    """Weighted symmetric KL, negative entropy of p̄, and cos of the logit vectors.

    Its weights are constants of the released code.
    """
    batch, weight = outputs.batch, outputs.batch.weight
    logits = class_logits(outputs.image, outputs.text, outputs.scale)
    negative_logits = class_logits(outputs.image, outputs.negative, outputs.scale)
    log_negative = jax.nn.log_softmax(negative_logits)
    negative_entropy = jnp.sum(jnp.exp(log_negative) * log_negative, axis=-1)
    terms = {
        "pos_forward": jnp.mean(weight * kl_to_logits(batch.teacher, logits)),
        "pos_reverse": jnp.mean(weight * kl_from_logits(logits, batch.teacher)),
        "neg": jnp.mean((1 - weight) * negative_entropy),
        "cosine": jnp.mean(weight * _cosine(logits, negative_logits)),
    }
    loss = (
        0.5 * terms["pos_forward"]
        + 0.5 * terms["pos_reverse"]
        + terms["neg"]
        + _COSINE_WEIGHT * terms["cosine"]
    )
    return loss, terms


def _cosine(
    left: Float[Array, "B C"], right: Float[Array, "B C"]
) -> Float[Array, " B"]:
    lengths = jnp.linalg.norm(left, axis=-1) * jnp.linalg.norm(right, axis=-1)
    return jnp.sum(left * right, axis=-1) / jnp.maximum(lengths, 1e-8)


FDBPL_RELEASE = Loss(
    "fdbpl_release", fdbpl_release, negative=True, sparse_weight=True, optim=PAPER_OPTIM
)

"""CoOp's loss: cross-entropy with labels of the data set or chosen by the student."""

import jax
import jax.numpy as jnp

from fdbpl_jax.losses.divergence import class_logits
from fdbpl_jax.losses.loss import Loss, LossWeights, ModelOutputs, Scalar, Terms


def cross_entropy(
    outputs: ModelOutputs, weights: LossWeights | None = None
) -> tuple[Scalar, Terms]:
    """Mean cross-entropy of equation 2's probabilities; `weights` has none of it."""
    log_p = jax.nn.log_softmax(class_logits(outputs.image, outputs.text, outputs.scale))
    label = outputs.batch.label[:, None]
    loss = -jnp.mean(jnp.take_along_axis(log_p, label, axis=-1))
    return loss, {"cross_entropy": loss}


CROSS_ENTROPY = Loss("cross_entropy", cross_entropy, labels=True)

"""CoOp's objective: cross-entropy with the data set's labels."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.objectives.batch import Batch
from fdbpl_jax.objectives.divergence import class_logits


def cross_entropy(
    batch: Batch, text: Float[Array, "C D"], scale: Float[Array, ""]
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Mean cross-entropy of equation 2's probabilities, and its terms by name."""
    log_p = jax.nn.log_softmax(class_logits(batch.feature, text, scale))
    loss = -jnp.mean(jnp.take_along_axis(log_p, batch.label[:, None], axis=-1))
    return loss, {"cross_entropy": loss}

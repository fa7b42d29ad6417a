"""CoOp's objective: cross-entropy with labels, those of the data set or chosen ones."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.losses.batch import Seen
from fdbpl_jax.losses.divergence import class_logits


def cross_entropy(
    seen: Seen, scale: Float[Array, ""]
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Mean cross-entropy of equation 2's probabilities, and its terms by name."""
    log_p = jax.nn.log_softmax(class_logits(seen.image, seen.text, scale))
    label = seen.batch.label[:, None]
    loss = -jnp.mean(jnp.take_along_axis(log_p, label, axis=-1))
    return loss, {"cross_entropy": loss}

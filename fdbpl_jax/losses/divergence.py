"""Divergences between class distributions, from logits, in float32."""

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy
from jaxtyping import Array, Float


def products(
    image: Float[Array, "B D"], text: Float[Array, "*B C D"]
) -> Float[Array, "B C"]:
    """Products of each image with each class: `[C D]` of all, or its own `[B C D]`."""
    if text.ndim == 3:
        return jnp.einsum("bd,bcd->bc", image, text)
    return image @ text.T


def class_logits(
    image: Float[Array, "B D"], text: Float[Array, "*B C D"], scale: Float[Array, ""]
) -> Float[Array, "B C"]:
    """Scaled cosines `s f Tᵀ` of L2-normalised features (equation 2's exponent)."""
    return scale * products(image, text)


def kl_to_logits(
    target: Float[Array, "B C"], logits: Float[Array, "B C"]
) -> Float[Array, " B"]:
    """KL(target ‖ softmax(logits)) in nats; a zero in `target` adds nothing."""
    return jnp.sum(xlogy(target, target) - target * jax.nn.log_softmax(logits), axis=-1)


def kl_from_logits(
    logits: Float[Array, "B C"], target: Float[Array, "B C"], epsilon: float = 1e-6
) -> Float[Array, " B"]:
    """KL(softmax(logits) ‖ target) in nats.

    `epsilon` floors `target`, which a renormalised sparse label makes exactly zero for
    the classes it dropped; the divergence would be infinite there.
    """
    log_p = jax.nn.log_softmax(logits)
    return jnp.sum(jnp.exp(log_p) * (log_p - jnp.log(jnp.maximum(target, epsilon))), -1)


def kl_uniform_to_logits(logits: Float[Array, "B C"]) -> Float[Array, " B"]:
    """KL(U ‖ softmax(logits)) in nats, U uniform over the classes (equation 10)."""
    log_p = jax.nn.log_softmax(logits)
    return -jnp.mean(log_p, axis=-1) - jnp.log(logits.shape[-1])

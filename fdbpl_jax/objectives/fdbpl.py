"""FDBPL's objective: two prompts, by region information (paper, equations 7–17)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fdbpl_jax.config import FdbplConfig
from fdbpl_jax.objectives.batch import Batch
from fdbpl_jax.objectives.divergence import (
    class_logits,
    kl_to_logits,
    kl_uniform_to_logits,
)

_SMALL = 1e-12  # of a squared length: keeps the gradient of sqrt finite at zero


class FdbplWeights(NamedTuple):
    """The loss weights, α and δ as float32 scalars: other values compile nothing."""

    neg: jax.Array
    diff1: jax.Array
    diff2: jax.Array
    alpha: jax.Array
    delta: jax.Array


def loss_weights(settings: FdbplConfig) -> FdbplWeights:
    """The weights of a config, on the device."""
    values = (
        settings.lambda_neg,
        settings.lambda_diff1,
        settings.lambda_diff2,
        settings.alpha,
        settings.delta,
    )
    return FdbplWeights(*map(jnp.float32, values))


def fdbpl(
    batch: Batch,
    positive: Float[Array, "C D"],
    negative: Float[Array, "C D"],
    scale: Float[Array, ""],
    weights: FdbplWeights,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Equation 17, and its four terms by name.

    Args:
      batch: regions with teacher probabilities and information weights.
      positive: text features T of the positive prompt, L2-normalised.
      negative: text features T̄ of the negative prompt, L2-normalised.
      scale: exp(logit_scale) of the student, that is 1/τ.
      weights: of the terms, α and δ.

    Means stand where the paper prints sums over the batch: a sum would tie the learning
    rate to the batch size.
    """
    weight, feature = batch.weight, batch.feature
    label = jnp.argmax(batch.teacher, axis=-1)  # equation 12's pseudo label y
    difference = positive - negative
    terms = {
        "pos": jnp.mean(
            weight * kl_to_logits(batch.teacher, class_logits(feature, positive, scale))
        ),
        "neg": jnp.mean(
            (1 - weight) * kl_uniform_to_logits(class_logits(feature, negative, scale))
        ),
        "diff1": first_order(feature, difference, label, weight, weights.alpha),
        "diff2": second_order(feature, difference, label, weight, weights.delta),
    }
    loss = (
        terms["pos"]
        + weights.neg * terms["neg"]
        + weights.diff1 * terms["diff1"]
        + weights.diff2 * terms["diff2"]
    )
    return loss, terms


def first_order(
    feature: Float[Array, "B D"],
    difference: Float[Array, "C D"],
    label: Int[Array, " B"],
    weight: Float[Array, " B"],
    alpha: float | Float[Array, ""],
) -> Float[Array, ""]:
    """Equations 11–13 with the sign as printed, which agrees with the paper's figure 7.

    S falls for informative regions and rises for the others.
    """
    length = jnp.sqrt(jnp.maximum(jnp.sum(difference**2, axis=-1), _SMALL))
    along = jnp.sum(feature * difference[label], axis=-1)
    similarity = along / length[label]
    return -jnp.mean((1 - weight) * similarity + alpha * weight * (1 - similarity))


def second_order(
    feature: Float[Array, "B D"],
    difference: Float[Array, "C D"],
    label: Int[Array, " B"],
    weight: Float[Array, " B"],
    delta: float | Float[Array, ""],
) -> Float[Array, ""]:
    """Equations 14–16, over ordered pairs whose pseudo labels differ.

    `cos(f_i, D_{y_i} − D_{y_j})` comes from the Gram matrix of D and from `f Dᵀ`, so
    the `[B, B, D]` differences are never made.
    """
    gram = difference @ difference.T
    square = jnp.diag(gram)
    between = square[:, None] + square[None, :] - 2 * gram
    length = jnp.sqrt(jnp.maximum(between, _SMALL))[label[:, None], label[None, :]]
    projected = (feature @ difference.T)[:, label]  # [i, j] = f_i · D_{y_j}
    similarity = (jnp.diag(projected)[:, None] - projected) / length
    differ = label[:, None] != label[None, :]
    pairs = weight[:, None] * weight[None, :] * jnp.maximum(0.0, similarity + delta)
    count = max(label.shape[0] * (label.shape[0] - 1), 1)
    return jnp.sum(jnp.where(differ, pairs, 0.0)) / count

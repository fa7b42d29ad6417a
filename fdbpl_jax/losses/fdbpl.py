"""FDBPL's objective: two prompts, by region information (paper, equations 7–17)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fdbpl_jax.config import FdbplConfig
from fdbpl_jax.losses.batch import Seen
from fdbpl_jax.losses.divergence import (
    class_logits,
    kl_to_logits,
    kl_uniform_to_logits,
    products,
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
    seen: Seen,
    negative: Float[Array, "C D"],
    scale: Float[Array, ""],
    weights: FdbplWeights,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Equation 17, and its four terms by name.

    Args:
      seen: regions with teacher probabilities and information weights, and the text
        features T of the positive prompt.
      negative: text features T̄ of the negative prompt, L2-normalised.
      scale: exp(logit_scale) of the student, that is 1/τ.
      weights: of the terms, α and δ.

    Means stand where the paper prints sums over the batch: a sum would tie the learning
    rate to the batch size.
    """
    weight, feature, teacher = seen.batch.weight, seen.image, seen.batch.teacher
    label = jnp.argmax(teacher, axis=-1)  # equation 12's pseudo label y
    positive = class_logits(feature, seen.text, scale)
    difference = seen.text - jnp.broadcast_to(negative, seen.text.shape)
    terms = {
        "pos": jnp.mean(weight * kl_to_logits(teacher, positive)),
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
    difference: Float[Array, "*B C D"],
    label: Int[Array, " B"],
    weight: Float[Array, " B"],
    alpha: float | Float[Array, ""],
) -> Float[Array, ""]:
    """Equations 11–13 with the sign as printed, which agrees with the paper's figure 7.

    S falls for informative regions and rises for the others.
    """
    own = _own(difference, label)
    length = jnp.sqrt(jnp.maximum(jnp.sum(own**2, axis=-1), _SMALL))
    similarity = jnp.sum(feature * own, axis=-1) / length
    return -jnp.mean((1 - weight) * similarity + alpha * weight * (1 - similarity))


def second_order(
    feature: Float[Array, "B D"],
    difference: Float[Array, "*B C D"],
    label: Int[Array, " B"],
    weight: Float[Array, " B"],
    delta: float | Float[Array, ""],
) -> Float[Array, ""]:
    """Equations 14–16, over ordered pairs whose pseudo labels differ.

    `cos(f_i, D_{y_i} − D_{y_j})` comes from products with D, so the `[B, B, D]`
    differences are never made. Where each image has text of its own, D is image i's.
    """
    own = _own(difference, label)
    crossed = products(own, difference)  # [i, c] = D_{y_i} · D_c
    square = jnp.broadcast_to(jnp.sum(difference**2, axis=-1), crossed.shape)
    between = jnp.sum(own**2, axis=-1)[:, None] + square - 2 * crossed
    length = jnp.sqrt(jnp.maximum(between, _SMALL))[:, label]
    projected = products(feature, difference)[:, label]  # [i, j] = f_i · D_{y_j}
    similarity = (jnp.diag(projected)[:, None] - projected) / length
    differ = label[:, None] != label[None, :]
    pairs = weight[:, None] * weight[None, :] * jnp.maximum(0.0, similarity + delta)
    count = max(label.shape[0] * (label.shape[0] - 1), 1)
    return jnp.sum(jnp.where(differ, pairs, 0.0)) / count


def _own(
    difference: Float[Array, "*B C D"], label: Int[Array, " B"]
) -> Float[Array, "B D"]:
    """The difference at each image's pseudo label."""
    if difference.ndim == 2:
        return difference[label]
    return jnp.take_along_axis(difference, label[:, None, None], axis=1)[:, 0]

"""FDBPL's loss: two prompts, by region information (paper, equations 7–17)."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fdbpl_jax.config import OptimConfig
from fdbpl_jax.losses.divergence import (
    class_logits,
    kl_to_logits,
    kl_uniform_to_logits,
    products,
)
from fdbpl_jax.losses.loss import (
    NEGATIVE_TERMS,
    Loss,
    LossWeights,
    ModelOutputs,
    Scalar,
    Terms,
)

_SMALL = 1e-12  # of a squared length: keeps the gradient of sqrt finite at zero


def fdbpl(outputs: ModelOutputs, weights: LossWeights) -> tuple[Scalar, Terms]:
    """Equation 17, and its four terms by name; those left out are not computed.

    Means stand where the paper prints sums over the batch: a sum would tie the learning
    rate to the batch size.
    """
    batch, feature, scale = outputs.batch, outputs.image, outputs.scale
    weight, teacher = batch.weight, batch.teacher
    label = jnp.argmax(teacher, axis=-1)  # equation 12's pseudo label y
    values, needed = weights.fdbpl, set(NEGATIVE_TERMS) - weights.left_out
    positive = class_logits(feature, outputs.text, scale)
    if "neg" in needed:
        negative = class_logits(feature, outputs.negative, scale)
    if needed & {"diff1", "diff2"}:
        shape = outputs.text.shape
        difference = outputs.text - jnp.broadcast_to(outputs.negative, shape)
    # Gradients are summed in the order of these lines: another changes their last bits.
    terms = {"pos": jnp.mean(weight * kl_to_logits(teacher, positive))}
    if "neg" in needed:
        terms["neg"] = jnp.mean((1 - weight) * kl_uniform_to_logits(negative))
    if "diff1" in needed:
        terms["diff1"] = first_order(feature, difference, label, weight, values.alpha)
    if "diff2" in needed:
        terms["diff2"] = second_order(feature, difference, label, weight, values.delta)
    loss = terms["pos"]
    for name in NEGATIVE_TERMS:
        if name in needed:
            loss = loss + getattr(values, name) * terms[name]
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
    labelled = _of_label(difference, label)
    length = jnp.sqrt(jnp.maximum(jnp.sum(labelled**2, axis=-1), _SMALL))
    similarity = jnp.sum(feature * labelled, axis=-1) / length
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
    labelled = _of_label(difference, label)
    crossed = products(labelled, difference)  # [i, c] = D_{y_i} · D_c
    square = jnp.broadcast_to(jnp.sum(difference**2, axis=-1), crossed.shape)
    between = jnp.sum(labelled**2, axis=-1)[:, None] + square - 2 * crossed
    length = jnp.sqrt(jnp.maximum(between, _SMALL))[:, label]
    projected = products(feature, difference)[:, label]  # [i, j] = f_i · D_{y_j}
    similarity = (jnp.diag(projected)[:, None] - projected) / length
    differ = label[:, None] != label[None, :]
    pairs = weight[:, None] * weight[None, :] * jnp.maximum(0.0, similarity + delta)
    count = max(label.shape[0] * (label.shape[0] - 1), 1)
    return jnp.sum(jnp.where(differ, pairs, 0.0)) / count


def _of_label(
    difference: Float[Array, "*B C D"], label: Int[Array, " B"]
) -> Float[Array, "B D"]:
    """The difference at each image's pseudo label."""
    if difference.ndim == 2:
        return difference[label]
    return jnp.take_along_axis(difference, label[:, None, None], axis=1)[:, 0]


# Section 4.1.2; weights, α and δ are ours: docs/defaults.md.
PAPER_OPTIM = OptimConfig(batch_size=128, lr=0.1, warmup_epochs=0)
FDBPL = Loss("fdbpl", fdbpl, negative=True, fdbpl_weights=True, optim=PAPER_OPTIM)

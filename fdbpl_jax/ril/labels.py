"""Top-K teacher labels and their reconstruction (MR, MS, full).

Always on probabilities, never on logits.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float16, Int, Int32

from fdbpl_jax.errors import UserError, unknown_name

KINDS = ("mr", "ms", "full")
_EPSILON = 1e-6


def entropy(probability: Float[Array, "*batch C"]) -> Float[Array, "*batch"]:
    """Compute H = -Σ_c p_c log(p_c + ε), ε = 1e-6, in nats (paper, equation 6)."""
    probability = probability.astype(jnp.float32)
    return -jnp.sum(probability * jnp.log(probability + _EPSILON), axis=-1)


def information_weight(
    entropy: Float[Array, "*batch"], classes: int
) -> Float[Array, "*batch"]:
    """Compute w = 1 - H / log C, clipped to [0, 1] (paper, equation 6).

    With a single class nothing is uncertain: w = 1.
    """
    if classes == 1:
        return jnp.ones_like(entropy)
    return jnp.clip(1 - entropy / math.log(classes), 0, 1)


def keep_top(
    probability: Float[Array | np.ndarray, "*batch C"], keep: int
) -> tuple[Int32[Array, "*batch K"], Float[Array, "*batch K"]]:
    """Select the `keep` most probable classes and their probabilities, best first.

    Of equally probable classes the lower index comes first. Raises as `check_keep`.
    """
    check_keep(keep, probability.shape[-1])
    prob, index = jax.lax.top_k(jnp.asarray(probability), keep)
    return index, prob


def densify(
    index: Int[Array, "*batch K"],
    prob: Float[Array, "*batch K"],
    classes: int,
    kind: str,
) -> Float[Array, "*batch C"]:
    """Reconstruct full soft labels from the kept ones, as float32.

    They sum to 1; for "full", as exactly as `prob` does.

    Args:
      index: kept classes, all different.
      prob: their probabilities under the full label.
      classes: C.
      kind: "ms", marginal smoothing: every other class gets the same share of what
        is left, (1 - Σ kept) / (C - K) (paper, equation 4, with the bracket that its
        typesetting lost); "mr", marginal renormalisation: the kept ones are scaled to
        sum to 1 (equation 5); "full": the kept ones are all there are, K = C.

    Raises:
      UserError: an unknown kind, K > C, or "full" with K < C.
    """
    if kind not in KINDS:
        raise unknown_name("kind of label", kind, KINDS)
    keep = index.shape[-1]
    check_keep(keep, classes)
    prob = prob.astype(jnp.float32)
    total = jnp.sum(prob, axis=-1, keepdims=True)
    if kind == "mr":
        return _scatter(index, prob / total, jnp.zeros_like(total), classes)
    # With all classes kept nothing is left to share, and rounding is left unchanged.
    if kind == "ms" and keep < classes:
        # Stored probabilities are rounded, so their sum may slightly exceed 1.
        rest = jnp.maximum(1 - total, 0) / (classes - keep)
        return _scatter(index, prob, rest, classes)
    if kind == "full" and keep < classes:
        what = f"full labels are asked for, but the table keeps {keep} of {classes}"
        advice = "Build a table that keeps all of them (keep 0), or use 'mr' or 'ms'."
        raise UserError(what, advice)
    return _scatter(index, prob, jnp.zeros_like(total), classes)


def check_keep(keep: int, classes: int) -> None:
    """Refuse to keep no label, or more labels than there are classes."""
    if not 1 <= keep <= classes:
        what = f"{keep} labels per region cannot be kept of {classes} classes"
        raise UserError(what, f"Keep 1 to {classes}.")


def teacher_logits(
    feature: Float[Array, "B D"], text: Float[Array, "C D"], scale: Float[Array, ""]
) -> Float[Array, "B C"]:
    """Compute scale · f Tᵀ in full float32, for stored labels and online ones alike."""
    # A GPU would multiply in TF32 by default: three decimals of a logit of 100.
    cosine = jnp.matmul(
        feature.astype(jnp.float32),
        text.astype(jnp.float32).T,
        precision=jax.lax.Precision.HIGHEST,
    )
    return scale * cosine


@functools.partial(jax.jit, static_argnames="keep")
def soft_labels(
    feature: Float[Array, "B D"],
    text: Float[Array, "C D"],
    scale: Float[Array, ""],
    keep: int,
) -> tuple[Int32[Array, "B K"], Float16[Array, "B K"], Float[Array, " B"]]:
    """Compute the stored part of the label p = softmax(scale · f Tᵀ) (equation 2).

    That is index and prob as of `keep_top`, and H of the full label. Region and text
    features are the teacher's, L2-normalised; its scale is exp(logit_scale), 1/τ.
    """
    probability = jax.nn.softmax(teacher_logits(feature, text, scale), axis=-1)
    index, prob = keep_top(probability, keep)
    return index, prob.astype(jnp.float16), entropy(probability)


def _scatter(
    index: Int[Array, "*batch K"],
    prob: Float[Array, "*batch K"],
    rest: Float[Array, "*batch 1"],
    classes: int,
) -> Float[Array, "*batch C"]:
    label = jnp.broadcast_to(rest, (*rest.shape[:-1], classes))
    return jnp.put_along_axis(label, index, prob, axis=-1, inplace=False)

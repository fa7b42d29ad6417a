"""Regularizers, which keep prompts near the hand-written text.

KgCoOp (Yao et al., 2023), PromptSRC (Khattak et al., 2023) and ProGrad (Zhu et al.,
2023), each as its authors' code computes it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.losses.divergence import class_logits, kl_to_logits
from fdbpl_jax.losses.loss import LossWeights, ModelOutputs, Scalar, Terms

# PromptSRC holds its prompts to the mean of these.
_PROMPTSRC_TEMPLATES = (
    "a photo of a {}.",
    "a picture of a {}.",
    "an image of a {}.",
    "a photo of the {}.",
    "one {} in a photo.",
    "a close view of a {}.",
    "a {} seen from afar.",
    "a small picture of a {}.",
    "a large picture of a {}.",
    "a bright photo of a {}.",
    "a dark photo of a {}.",
    "a blurred photo of a {}.",
    "a sharp photo of a {}.",
    "a grey photo of a {}.",
    "a colourful photo of a {}.",
    "part of a {}.",
    "a {} with something before it.",
    "a {} on a plain ground.",
    "a {} among other things.",
    "a typical {}.",
    "an unusual {}.",
    "several of the {}.",
    "a drawing of a {}.",
    "here is a {}.",
)


class ZeroShot(NamedTuple):
    """The model without prompts, L2-normalised features."""

    image: jax.Array  # [B D], of the batch
    text: jax.Array  # [C D], of hand-written templates, averaged


class Penalty(NamedTuple):
    """What a regularizer adds to the loss of a batch."""

    loss: Scalar  # weighted
    # Distance to the zero-shot model, which the gradient must not increase; 0: none.
    general: Scalar
    terms: Terms  # by name, for the log


@dataclasses.dataclass(frozen=True)
class Regularizer:
    """A regularizer; all its weights are those of `TermConfig`."""

    name: str
    penalty: Callable[[ModelOutputs, ZeroShot, LossWeights], Penalty]
    templates: tuple[str, ...] = ()  # hand-written; empty: the data set's own
    # Gradients of loss and of `Penalty.general` to the one that is descended.
    combine: Callable[[Any, Any, LossWeights], Any] | None = None
    averages: bool = False  # the result is an average of the prompts over epochs


def _kgcoop(
    outputs: ModelOutputs, zero_shot: ZeroShot, weights: LossWeights
) -> Penalty:
    distance = kgcoop(outputs.text, zero_shot.text)
    return Penalty(weights.terms.kgcoop * distance, jnp.zeros(()), {"kgcoop": distance})


def kgcoop(
    text: Float[Array, "*B C D"], written: Float[Array, "C D"]
) -> Float[Array, ""]:
    """1 − mean cosine of learned and hand-written text features."""
    return 1 - jnp.mean(jnp.einsum("...cd,cd->...c", text, written))


def _promptsrc(
    outputs: ModelOutputs, zero_shot: ZeroShot, weights: LossWeights
) -> Penalty:
    terms = promptsrc(outputs, zero_shot)
    loss = (
        weights.terms.promptsrc_text * terms["text"]
        + weights.terms.promptsrc_image * terms["image"]
        + terms["logits"]
    )
    logged = {f"promptsrc_{name}": term for name, term in terms.items()}
    return Penalty(loss, jnp.zeros(()), logged)


def promptsrc(outputs: ModelOutputs, zero_shot: ZeroShot) -> Terms:
    """The three terms of PromptSRC's self-consistency, not yet weighted.

    "text" and "image" are mean absolute differences, "logits" is KL(frozen ‖ prompted),
    summed and divided by B·C.
    """
    written = jnp.broadcast_to(zero_shot.text, outputs.text.shape)
    divergence = _divergence(outputs, zero_shot)  # [B]
    return {
        "text": jnp.mean(jnp.abs(outputs.text - written)),
        "image": jnp.mean(jnp.abs(outputs.image - zero_shot.image)),
        "logits": jnp.sum(divergence) / (divergence.size * len(zero_shot.text)),
    }


def epoch_weights(epochs: int, mean: float, std: float) -> Float[Array, " E"]:
    """PromptSRC's weights of the prompts after epochs 1 to E, which sum to 1."""
    distance = (jnp.arange(1, epochs + 1) - mean) / std
    return jax.nn.softmax(-0.5 * distance**2)


def _prograd(
    outputs: ModelOutputs, zero_shot: ZeroShot, weights: LossWeights
) -> Penalty:
    distance = zero_shot_distance(outputs, zero_shot)
    return Penalty(jnp.zeros(()), distance, {"zero_shot_distance": distance})


def zero_shot_distance(outputs: ModelOutputs, zero_shot: ZeroShot) -> Scalar:
    """Mean KL(zero-shot ‖ prompted): ProGrad's general direction."""
    return jnp.mean(_divergence(outputs, zero_shot))


def prograd(loss: Array, general: Array, share: float | Scalar) -> Array:
    """ProGrad's gradient of one tensor, from those of the loss and of the distance.

    `share` is λ, how much is removed where the two disagree.
    """
    along = jnp.sum(loss * general)
    length = jnp.maximum(jnp.sum(general * general), 1e-30)
    return loss - share * jnp.minimum(along, 0.0) / length * general


def _combine(loss: Any, general: Any, weights: LossWeights) -> Any:
    share = weights.terms.prograd
    return jax.tree.map(lambda a, b: prograd(a, b, share), loss, general)


def _divergence(outputs: ModelOutputs, zero_shot: ZeroShot) -> Float[Array, " B"]:
    """KL(zero-shot ‖ prompted) in nats."""
    logits = class_logits(outputs.image, outputs.text, outputs.scale)
    return kl_to_logits(jax.nn.softmax(class_logits(*zero_shot, outputs.scale)), logits)


KGCOOP = Regularizer("kgcoop", _kgcoop)
PROMPTSRC = Regularizer("promptsrc", _promptsrc, _PROMPTSRC_TEMPLATES, averages=True)
PROGRAD = Regularizer("prograd", _prograd, combine=_combine)

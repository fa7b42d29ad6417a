"""What other methods add to a loss to keep prompts near the hand-written text.

KgCoOp (Yao et al., 2023), PromptSRC (Khattak et al., 2023), ProGrad (Zhu et al., 2023),
and PromptKD's loss (Li et al., 2024), each as its authors' code computes it.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.losses.batch import Seen
from fdbpl_jax.losses.divergence import class_logits, kl_to_logits


def kgcoop(
    text: Float[Array, "*B C D"], written: Float[Array, "C D"]
) -> Float[Array, ""]:
    """1 − mean cosine of learned and hand-written text features."""
    return 1 - jnp.mean(jnp.einsum("...cd,cd->...c", text, written))


def promptsrc(
    seen: Seen,
    frozen: Float[Array, "B D"],
    written: Float[Array, "C D"],
    scale: Float[Array, ""],
) -> dict[str, Float[Array, ""]]:
    """The three terms of PromptSRC's self-consistency, not yet weighted.

    Args:
      seen: the batch under the prompts.
      frozen: its image features without any.
      written: text features of hand-written templates, averaged.
      scale: exp(logit_scale).

    Returns:
      "text" and "image": mean absolute differences. "logits": KL(frozen ‖ prompted),
      summed and divided by B·C.
    """
    distance = jnp.abs(seen.text - jnp.broadcast_to(written, seen.text.shape))
    logits = class_logits(seen.image, seen.text, scale)
    target = jax.nn.softmax(class_logits(frozen, written, scale))
    return {
        "text": jnp.mean(distance),
        "image": jnp.mean(jnp.abs(seen.image - frozen)),
        "logits": jnp.sum(kl_to_logits(target, logits)) / logits.size,
    }


def zero_shot_distance(
    seen: Seen,
    frozen: Float[Array, "B D"],
    written: Float[Array, "C D"],
    scale: Float[Array, ""],
) -> Float[Array, ""]:
    """Mean KL(zero-shot ‖ prompted): ProGrad's general direction."""
    target = jax.nn.softmax(class_logits(frozen, written, scale))
    return jnp.mean(kl_to_logits(target, class_logits(seen.image, seen.text, scale)))


def prograd(own: Array, general: Array, share: float) -> Array:
    """ProGrad's gradient of one tensor.

    Args:
      own: gradient of the task.
      general: gradient of the distance to the zero-shot model.
      share: λ, of what is removed where the two disagree.
    """
    along = jnp.sum(own * general)
    length = jnp.maximum(jnp.sum(general * general), 1e-30)
    return own - share * jnp.minimum(along, 0.0) / length * general


def promptkd(
    seen: Seen, scale: Float[Array, ""]
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """KL(teacher ‖ student) summed and divided by B·C, not yet weighted."""
    logits = class_logits(seen.image, seen.text, scale)
    loss = jnp.sum(kl_to_logits(seen.batch.teacher, logits)) / logits.size
    return loss, {"kl_forward": loss}


def epoch_weights(epochs: int, mean: float, std: float) -> Float[Array, " E"]:
    """PromptSRC's weights of the prompts after epochs 1 to E, which sum to 1."""
    distance = (jnp.arange(1, epochs + 1) - mean) / std
    return jax.nn.softmax(-0.5 * distance**2)

"""Every loss in plain PyTorch, from features of images and classes to a scalar."""

import math

import torch
from torch.nn import functional


def logits_of(image: torch.Tensor, text: torch.Tensor, scale: float) -> torch.Tensor:
    """Return scaled cosines `[B C]`; `text` is `[C D]`, or `[B C D]` per image."""
    # Autocast would multiply even float32 in bfloat16.
    with torch.autocast(image.device.type, enabled=False):
        image, text = image.float(), text.float()
        if text.dim() == 2:
            return scale * image @ text.T
        return scale * (image[:, None] * text).sum(-1)


def kl(target: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Return KL(target ‖ softmax(logits)) of each row."""
    log_p = logits.log_softmax(-1)
    return (torch.xlogy(target, target) - target * log_p).sum(-1)


def cross_entropy(
    image: torch.Tensor, text: torch.Tensor, scale: float, label: torch.Tensor
) -> torch.Tensor:
    """Return the mean cross-entropy with labels."""
    return functional.cross_entropy(logits_of(image, text, scale), label)


def kdpl(
    image: torch.Tensor, text: torch.Tensor, scale: float, teacher: torch.Tensor
) -> torch.Tensor:
    """Return the mean of both KL directions to the teacher's probabilities."""
    logits = logits_of(image, text, scale)
    p, log_p = logits.softmax(-1), logits.log_softmax(-1)
    # The teacher's probability may be exactly zero in float32: keep its log finite.
    reverse = (p * (log_p - teacher.clamp(min=1e-30).log())).sum(-1)
    return (0.5 * kl(teacher, logits) + 0.5 * reverse).mean()


def fdbpl(
    image: torch.Tensor,
    positive: torch.Tensor,
    negative: torch.Tensor,
    scale: float,
    teacher: torch.Tensor,
    weight: torch.Tensor,
    lambdas: dict[str, float],
) -> torch.Tensor:
    """Return equation 17, computed per image and per pair.

    `lambdas` contains neg, diff1, diff2, alpha and delta.
    """
    batch, classes = teacher.shape
    label = teacher.argmax(-1)
    uniform = torch.full_like(teacher, 1 / classes)
    pos = (weight * kl(teacher, logits_of(image, positive, scale))).mean()
    neg = ((1 - weight) * kl(uniform, logits_of(image, negative, scale))).mean()
    difference = (positive - negative).expand(batch, classes, -1)
    s1 = torch.stack(
        [
            functional.cosine_similarity(image[i], difference[i, label[i]], dim=0)
            for i in range(batch)
        ]
    )
    diff1 = -((1 - weight) * s1 + lambdas["alpha"] * weight * (1 - s1)).mean()
    diff2 = torch.zeros(())
    for i in range(batch):
        for j in range(batch):
            if label[i] == label[j]:
                continue
            between = difference[i, label[i]] - difference[i, label[j]]
            s2 = functional.cosine_similarity(image[i], between, dim=0)
            diff2 = diff2 + weight[i] * weight[j] * (s2 + lambdas["delta"]).relu()
    diff2 = diff2 / max(batch * (batch - 1), 1)
    return (
        pos + lambdas["neg"] * neg + lambdas["diff1"] * diff1 + lambdas["diff2"] * diff2
    )


def fdbpl_release(
    image: torch.Tensor,
    positive: torch.Tensor,
    negative: torch.Tensor,
    scale: float,
    teacher: torch.Tensor,
    weight: torch.Tensor,
) -> torch.Tensor:
    """Return the released code's loss, without its second-order loss, which is zero."""
    logits = logits_of(image, positive, scale)
    other = logits_of(image, negative, scale)
    p, log_p = logits.softmax(-1), logits.log_softmax(-1)
    reverse = (p * (log_p - teacher.clamp(min=1e-6).log())).sum(-1)
    entropy = -(other.softmax(-1) * other.log_softmax(-1)).sum(-1)
    alike = functional.cosine_similarity(logits, other, dim=-1)
    return (
        (0.5 * weight * (kl(teacher, logits) + reverse)).mean()
        - ((1 - weight) * entropy).mean()
        + 0.001 * (weight * alike).mean()
    )


def kgcoop(text: torch.Tensor, written: torch.Tensor) -> torch.Tensor:
    """Return 1 − mean cosine with the hand-written text."""
    return (
        1 - functional.cosine_similarity(text, written.expand_as(text), dim=-1).mean()
    )


def promptsrc(
    image: torch.Tensor,
    frozen_image: torch.Tensor,
    text: torch.Tensor,
    written: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """Return 25 L1 of text + 10 L1 of images + KL of logits, summed, divided by B·C."""
    logits = logits_of(image, text, scale)
    frozen = logits_of(frozen_image, written, scale)
    apart = functional.kl_div(
        logits.log_softmax(-1), frozen.log_softmax(-1), reduction="sum", log_target=True
    )
    return (
        25 * functional.l1_loss(text, written.expand_as(text))
        + 10 * functional.l1_loss(image, frozen_image)
        + apart / logits.numel()
    )


def zero_shot_distance(
    image: torch.Tensor,
    frozen_image: torch.Tensor,
    text: torch.Tensor,
    written: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """Return ProGrad's soft cross-entropy to the zero-shot model's probabilities."""
    target = logits_of(frozen_image, written, scale).softmax(-1)
    log_p = logits_of(image, text, scale).log_softmax(-1)
    return -(target * log_p).sum(-1).mean()


def prograd(
    own: torch.Tensor, general: torch.Tensor, share: float = 1.0
) -> torch.Tensor:
    """Return the gradient without its component against the general direction."""
    direction = general / general.norm()
    along = (own * direction).sum()
    return own - share * along * direction if along < 0 else own


def promptkd(
    image: torch.Tensor,
    text: torch.Tensor,
    scale: float,
    teacher: torch.Tensor,
    weight: float = 1000.0,
) -> torch.Tensor:
    """Return `weight` times KL(teacher ‖ student), summed and divided by B·C."""
    logits = logits_of(image, text, scale)
    return weight * kl(teacher, logits).sum() / logits.numel()


def epoch_weights(epochs: int, mean: float, std: float) -> list[float]:
    """Return PromptSRC's weights of epochs 1 to E."""
    found = [math.exp(-0.5 * ((e - mean) / std) ** 2) for e in range(1, epochs + 1)]
    return [weight / sum(found) for weight in found]

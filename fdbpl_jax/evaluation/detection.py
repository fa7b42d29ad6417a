"""How well a score separates inputs that a model should answer from those to reject.

A score is higher for what is to be kept. Both measures are those of out-of-distribution
detection (Hendrycks and Gimpel, "A baseline for detecting misclassified and
out-of-distribution examples in neural networks", 2017).
"""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from scipy.special import entr, log_softmax

from fdbpl_jax.errors import UserError

TPR = 0.95  # share of what is to be kept that is kept


def auroc(kept: Float[np.ndarray, " P"], rejected: Float[np.ndarray, " N"]) -> float:
    """The chance that one to be kept scores above one to be rejected; ties count half.

    The area under the ROC curve, 0 to 1; 0.5 is no better than chance.

    Raises:
      UserError: there is none of a kind, or a score is not finite.
    """
    from scipy.stats import mannwhitneyu  # slow to import, and rarely needed

    _check(kept, rejected)
    wins = mannwhitneyu(kept, rejected, method="asymptotic").statistic
    return float(wins) / (len(kept) * len(rejected))


def fpr_at_tpr(
    kept: Float[np.ndarray, " P"], rejected: Float[np.ndarray, " N"], tpr: float = TPR
) -> float:
    """The share to be rejected that passes where a share `tpr` of the others does.

    From 0 to 1, the less the better. Of what is to be kept, at least `tpr` passes.

    Raises:
      UserError: as `auroc`.
    """
    _check(kept, rejected)
    below = math.floor((1 - tpr) * len(kept) + 1e-9)  # so many may fall short
    threshold = np.sort(kept)[below]
    return float(np.mean(rejected >= threshold))


def scores(
    features: Float[np.ndarray, "N D"],
    positive: Float[np.ndarray, "C D"],
    negative: Float[np.ndarray, "C D"],
    scale: float,
) -> Mapping[str, Float[np.ndarray, " N"]]:
    """Scores of images by the two prompts of FDBPL, in nats but for the first.

    Args:
      features, positive, negative: of images and prompts, L2-normalised.
      scale: exp(logit_scale) of the model.

    Returns:
      "max probability" and "entropy" (negated) of the positive branch; "negative", the
      divergence of the negative branch from uniform, KL(U ‖ p̄), which FDBPL's loss
      takes to 0 for regions without information (paper, equation 8); and "both", the
      sum of "entropy" and "negative".
    """
    log_p = log_softmax(scale * features.astype(np.float64) @ positive.T, axis=1)
    log_n = log_softmax(scale * features.astype(np.float64) @ negative.T, axis=1)
    entropy = -entr(np.exp(log_p)).sum(axis=1)
    from_uniform = -math.log(len(negative)) - log_n.mean(axis=1)
    return {
        "max probability": np.exp(log_p.max(axis=1)),
        "entropy": entropy,
        "negative": from_uniform,
        "both": entropy + from_uniform,
    }


def _check(kept: np.ndarray, rejected: np.ndarray) -> None:
    for kind, some in (("kept", kept), ("rejected", rejected)):
        if not len(some) or not np.isfinite(some).all():
            raise UserError(
                f"scores of what is to be {kind}: {len(some)}, of which "
                f"{int(np.isfinite(some).sum())} are finite",
                "Rejection needs images or regions of both kinds and a model whose "
                "features are finite.",
            )

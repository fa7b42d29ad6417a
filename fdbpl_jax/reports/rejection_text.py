"""What the negative prompt rejects, in words."""

import statistics
from collections.abc import Sequence

from fdbpl_jax.reports.numbers import accuracy_text
from fdbpl_jax.reports.results import Rejection

REJECTION_COLUMNS = ("dataset", "method", "against", "score", "AUROC", "FPR95")
HOW_TO_REJECT = (
    "How well a score tells whole test images of the classes trained on from what "
    "should be rejected, in percent over seeds: the area under the ROC curve (50 is "
    "chance), and the share that passes where 95 % of the test images do. 'max "
    "probability' and 'entropy' are of the positive prompt, 'negative' is how far the "
    "negative prompt's probabilities are from uniform, 'both' is 'entropy' and "
    "'negative' together. Regions are the tenth of the training images' stored "
    "regions of which the teacher is least sure."
)


def rejection_texts(found: Sequence[Rejection]) -> tuple[tuple[str, ...], ...]:
    """What stands under `REJECTION_COLUMNS`: mean and spread over seeds."""
    groups: dict[tuple[str, ...], list[Rejection]] = {}
    for one in found:
        key = (one.dataset, one.method, one.against, one.score)
        groups.setdefault(key, []).append(one)
    return tuple(
        (*key, *(_spread([getattr(x, name) for x in own]) for name in ("auroc", "fpr")))
        for key, own in groups.items()
    )


def _spread(values: Sequence[float]) -> str:
    std = statistics.stdev(values) if len(values) > 1 else None
    return accuracy_text(statistics.fmean(values), std)

"""Images that prompts are tested on, with a frozen tower's features of them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from fdbpl_jax.data.types import Dataset, Example


class HeldOut(NamedTuple):
    """Images that are not trained on."""

    dataset: Dataset  # of their classes alone
    examples: Sequence[Example]
    features: np.ndarray  # [N D], of a frozen tower
    labels: np.ndarray  # [N]


class TestSet(NamedTuple):
    """The test images of one data set."""

    name: str  # of the data set
    base: HeldOut  # of the classes trained on; of all where there are no new ones
    new: HeldOut | None  # of classes never trained on


class Predicted(NamedTuple):
    """The predicted classes of the images of a `TestSet`."""

    base: np.ndarray  # [N]
    new: np.ndarray | None  # None: there are none, or the method cannot serve them


def predicted(
    test_set: TestSet, predict: Callable[[HeldOut], np.ndarray], new: bool = True
) -> Predicted:
    """What `predict` says of each half; of the new classes only if `new`."""
    return Predicted(
        predict(test_set.base),
        predict(test_set.new) if test_set.new and new else None,
    )


TestSet.__test__ = False  # type: ignore[attr-defined]  # pytest: not a class of tests

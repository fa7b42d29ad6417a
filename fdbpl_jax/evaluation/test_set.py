"""Images that prompts are tested on, with a frozen tower's features of them."""

from collections.abc import Sequence
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


TestSet.__test__ = False  # type: ignore[attr-defined]  # pytest: not a class of tests

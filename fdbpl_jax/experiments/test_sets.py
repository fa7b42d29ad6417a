"""What prompts are tested on: held-out images and what a frozen tower makes of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fdbpl_jax.clip.model import Clip
from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.splits import subset
from fdbpl_jax.data.types import Dataset, Example
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.features import split_features
from fdbpl_jax.experiments.protocols import PROTOCOLS


class HeldOut(NamedTuple):
    """Images that are not trained on.

    dataset: of their classes alone. examples: the images. features [N D]: a frozen
    tower's. labels [N].
    """

    dataset: Dataset
    examples: Sequence[Example]
    features: np.ndarray
    labels: np.ndarray


class Exam(NamedTuple):
    """What prompts are tested on in one data set.

    name: of the data set. base: of the classes trained on; of all classes where the
    protocol knows no new ones. new: of classes never trained on.
    """

    name: str
    base: HeldOut
    new: HeldOut | None


def exams_of(
    config: RunConfig,
    clip: Clip,
    source: Dataset,
    targets: Sequence[Dataset],
    cache: Path,
) -> tuple[Exam, ...]:
    """All that the protocol tests on, as one tower sees it.

    Args:
      config: its protocol and which split.
      clip: whose features.
      source: the data set that is trained on.
      targets: the other ones.
      cache: folder of kept features.

    Raises:
      UserError: a data set has no such image.
    """
    held = [
        _held_out(config, clip, part, cache) for part in tested(config, source, targets)
    ]
    classes = len(PROTOCOLS[config.protocol].classes)
    first = Exam(source.name, held[0], held[1] if classes > 1 else None)
    others = [Exam(one.dataset.name, one, None) for one in held[classes:]]
    return first, *others


def tested(
    config: RunConfig, source: Dataset, targets: Sequence[Dataset]
) -> list[Dataset]:
    """The parts of data sets that are tested on, each by itself: first the source's.

    Raises:
      UserError: one has no image of the split that is tested on.
    """
    parts = [
        (subset(source, which), which) for which in PROTOCOLS[config.protocol].classes
    ]
    parts += [(target, "all") for target in targets]
    for dataset, which in parts:
        if not getattr(dataset, config.eval_split):
            raise UserError(
                f"data set '{dataset.name}' has no {config.eval_split} image of its "
                f"{which} classes",
                "Set --config.eval_split to a split that has some.",
            )
    return [dataset for dataset, _ in parts]


def _held_out(config: RunConfig, clip: Clip, dataset: Dataset, cache: Path) -> HeldOut:
    examples = getattr(dataset, config.eval_split)
    features = split_features(clip, dataset, examples, cache)
    labels = np.array([example.label for example in examples], np.int32)
    return HeldOut(dataset, examples, features, labels)

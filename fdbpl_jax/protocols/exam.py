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
from fdbpl_jax.features import split_features
from fdbpl_jax.protocols.protocol import PROTOCOLS


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
    parts = [
        _held_out(config, clip, subset(source, which), which, cache)
        for which in PROTOCOLS[config.protocol].classes
    ]
    first = Exam(source.name, parts[0], parts[1] if len(parts) > 1 else None)
    others = [
        Exam(target.name, _held_out(config, clip, target, "all", cache), None)
        for target in targets
    ]
    return first, *others


def _held_out(
    config: RunConfig, clip: Clip, dataset: Dataset, which: str, cache: Path
) -> HeldOut:
    examples = getattr(dataset, config.eval_split)
    if not examples:
        raise UserError(
            f"data set '{dataset.name}' has no {config.eval_split} image of its "
            f"{which} classes",
            "Set --config.eval_split to a split that has some.",
        )
    features = split_features(clip, dataset, examples, cache)
    labels = np.array([example.label for example in examples], np.int32)
    return HeldOut(dataset, examples, features, labels)

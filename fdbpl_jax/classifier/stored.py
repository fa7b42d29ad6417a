"""The files of a classifier folder, which are read only if they are what was written.

| file                     | holds                                           |
|--------------------------|-------------------------------------------------|
| `classifier.json`        | `Facts`, with its digest and those of the next  |
| `classifier.safetensors` | text features, logit scale, prompts             |
| `prompts.json, prompts/` | the prompts, as a cell exports them             |
| `README.md`              | a model card for people: it may be edited       |
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import safetensors.numpy
from jaxtyping import Float
from safetensors import SafetensorError

from fdbpl_jax.classifier.sources import Source
from fdbpl_jax.classifier.texts import Texts
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.accuracy import standard_error
from fdbpl_jax.files.sealed import file_digest, parse, unseal

FORMAT = 1
FACTS, TENSORS, PROMPTS = "classifier.json", "classifier.safetensors", "prompts.json"
CARD = "README.md"
# Of a repository of the hub; "*" takes folders in.
REPOSITORY = (FACTS, TENSORS, PROMPTS, "prompts/*")
SEALED = (TENSORS, PROMPTS)  # `check_export` compares prompts/ with the second

POSITIVE, NEGATIVE, LOGIT_SCALE = "text.positive", "text.negative", "logit_scale"
_SHARES = 100  # thresholds are kept for each percent


class Accuracy(msgspec.Struct, frozen=True):
    """The share of images that are classified correctly."""

    percent: float
    images: int | None = None  # of how many; None: not known

    @property
    def standard_error(self) -> float | None:
        """Of the percentage, in points; None: the number of images is not known."""
        return standard_error(self.percent, self.images) if self.images else None


class Facts(msgspec.Struct, frozen=True):
    """What a classifier folder says of itself; no path is in it."""

    format: int
    class_names: tuple[str, ...]  # in the order of the text features
    student: Source
    teacher: Source | None  # None: no teacher was read
    preprocessing: dict[str, Any]  # as `preprocessor_config.json`
    template: str
    method: str
    data: str  # what it was learned from, in words
    how: dict[str, Any]  # it was made: JSON values
    accuracies: dict[str, Accuracy]  # by what was tested
    # Thresholds of the rejection score that reject 0, 1, … 100 % of the validation
    # images of the classes, at most; empty: it was measured on none.
    thresholds: tuple[float, ...]
    versions: dict[str, str]
    files: dict[str, str]  # digests


class Stored(NamedTuple):
    """A classifier folder, checked."""

    facts: Facts
    texts: Texts | None  # None: they depend on the image


def is_classifier(folder: Path) -> bool:
    """Whether a folder is, or was, a classifier's."""
    return (folder / FACTS).is_file()


def read_stored(folder: Path) -> Stored:
    """Read a classifier folder and compare its files with their digests.

    Raises:
      UserError: it is damaged, or of another format.
    """
    facts = _read_facts(folder)
    for name in SEALED:
        if facts.files.get(name) != file_digest(folder / name):
            raise damaged(folder, f"'{name}' is lost, or was changed or exchanged")
    try:
        tensors = safetensors.numpy.load((folder / TENSORS).read_bytes())
    except SafetensorError as error:
        raise damaged(folder, f"'{TENSORS}': {error}") from error
    if POSITIVE not in tensors:
        return Stored(facts, None)
    texts = Texts(facts.class_names, None, tensors[POSITIVE], tensors.get(NEGATIVE))
    for features in (texts.positive, texts.negative):
        if features is not None and len(features) != len(texts.names):
            raise damaged(folder, f"'{TENSORS}' is of {len(features)} classes")
    return Stored(facts, texts)


def damaged(folder: Path, reason: str) -> UserError:
    """The error of a classifier folder that is not what was written."""
    return UserError(
        f"the classifier in '{folder}' is damaged: {reason}",
        "Copy it again, or run the command that made it.",
    )


def _read_facts(folder: Path) -> Facts:
    try:
        content = (folder / FACTS).read_bytes()
        kind = parse(content).get("format")
        if kind != FORMAT and isinstance(kind, int):
            raise UserError(
                f"'{folder}' has classifier format {kind}",
                f"This version reads format {FORMAT}: use the version that wrote it, "
                "or make it again.",
            )
        return msgspec.convert(unseal(content), Facts)
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise damaged(folder, f"'{FACTS}': {error}") from error


def thresholds_of(scores: Sequence[float]) -> tuple[float, ...]:
    """Thresholds that reject 0, 1, … 100 % of scores at most; none of no scores.

    What is below the threshold is rejected.
    """
    ordered = sorted(map(float, scores))
    if not ordered:
        return ()
    last = len(ordered) - 1
    below = [percent * len(ordered) // _SHARES for percent in range(_SHARES + 1)]
    return tuple(ordered[min(count, last)] for count in below)


def threshold(thresholds: Sequence[float], share: float) -> float:
    """The threshold that keeps at least a share, 0 to 1, of the validation images."""
    # 1 - 0.9 is a little less than 0.1.
    return thresholds[math.floor(_SHARES * (1 - share) + 1e-9)]


def tensors_of(
    texts: Texts, log_scale: float, prompts: dict[str, Any]
) -> dict[str, Float[np.ndarray, "..."]]:
    """The content of `classifier.safetensors`, float32.

    Args:
      log_scale: CLIP's `logit_scale`, of which exp is the factor from cosines to
        logits.
      prompts: nested dicts of arrays, which are named with dots.
    """
    tensors = {LOGIT_SCALE: np.float32(log_scale), **_flat(prompts, "prompts")}
    for name, features in ((POSITIVE, texts.positive), (NEGATIVE, texts.negative)):
        if features is not None:
            tensors[name] = features
    return {
        name: np.asarray(tensor, np.float32, order="C")  # bytes are written as they lie
        for name, tensor in tensors.items()
    }


def _flat(tree: dict[str, Any], prefix: str) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for name, part in tree.items():
        path = f"{prefix}.{name}"
        arrays |= _flat(part, path) if isinstance(part, dict) else {path: part}
    return arrays

"""Few-shot draws, base and new classes, and images put aside for validation.

Every draw ranks images by a hash of (seed, path). So which images of a class are drawn
depends on nothing but the seed and that class's own paths: not on the order of a
listing, not on other classes, and 4 shots are the first 4 of 16.
"""

import dataclasses
import hashlib
from collections.abc import Sequence

from absl import logging

from fdbpl_jax.data.types import UNLABELLED, Dataset, Example, first_few
from fdbpl_jax.errors import UserError, unknown_name

TEMPLATE = "a photo of a {}."  # of data that comes without one
_VAL_SHOTS = 4  # the field keeps at most so many validation images a class
_HELD_OUT = 0.2  # share of each class that validates where no part is stated


def base_count(classes: int) -> int:
    """How many of `classes` sorted labels are base classes: ceil(classes / 2)."""
    return (classes + 1) // 2


def subset(dataset: Dataset, which: str) -> Dataset:
    """The data set with only its base or only its new classes, relabelled from 0.

    Args:
      which: "base", the first ceil(C / 2) labels; "new", the others; or "all".

    Raises:
      UserError: for another `which`, or if there are fewer than two classes.
    """
    if which not in ("base", "new", "all"):
        raise unknown_name("class subset", which, ("base", "new", "all"))
    if which == "all":
        return dataset
    classes = len(dataset.class_names)
    if classes < 2:
        raise UserError(
            f"data set '{dataset.name}' has {classes} class, too few for two halves",
            "Use a data set of two classes or more.",
        )
    half = base_count(classes)
    labels = range(half) if which == "base" else range(half, classes)

    def keep(examples: Sequence[Example]) -> tuple[Example, ...]:
        return tuple(
            Example(example.path, example.label - labels.start)
            for example in examples
            if example.label in labels
        )

    return dataclasses.replace(
        dataset,
        class_names=dataset.class_names[labels.start : labels.stop],
        train=keep(dataset.train),
        val=keep(dataset.val),
        test=keep(dataset.test),
    )


def few_shot(dataset: Dataset, shots: int, seed: int) -> Dataset:
    """Draw `shots` training and min(shots, 4) validation images of each class.

    `subset` and `few_shot` commute: base/new runs train on the same shots as runs on
    all classes. A class with fewer images gives all it has, with a logged warning. The
    drawn train and val are ordered by label; test examples stay. Of images without
    labels as many are drawn as of that many classes; nothing says how many of each.

    Raises:
      UserError: if `shots` is not positive, or a class has no training image.
    """
    if shots < 1:
        raise UserError(f"shots is {shots}", "Ask for at least one image per class.")
    refuse_empty(dataset)
    return dataclasses.replace(
        dataset,
        train=_draw(dataset, "train", shots, seed),
        val=_draw(dataset, "val", min(shots, _VAL_SHOTS), seed),
    )


def refuse_empty(dataset: Dataset) -> None:
    """Refuse classes without a training image, where all have labels.

    Raises:
      UserError: naming the first of them.
    """
    labels = {example.label for example in dataset.train}
    empty = sorted(set(range(len(dataset.class_names))) - labels)
    if empty and UNLABELLED not in labels:
        names = [f"'{dataset.class_names[label]}'" for label in empty]
        raise UserError(
            f"{len(empty)} classes of data set '{dataset.name}' have no training "
            f"image: {first_few(names)}",
            "Add images of them, or take the classes out of the split.",
        )


def hold_out(dataset: Dataset, seed: int) -> Dataset:
    """Put labelled training images aside for validation, where the data state none.

    A fifth of each class, at least one image and never the only one; which, is drawn
    with the seed.
    """
    if dataset.val:
        return dataset
    val: list[Example] = []
    for of_class in by_label(dataset.train, dataset.class_names):
        ranked = sorted(of_class, key=lambda e: rank("validation", seed, e.path))
        count = max(1, int(_HELD_OUT * len(ranked))) if len(ranked) > 1 else 0
        val += ranked[:count]
    aside = set(val)
    train = tuple(example for example in dataset.train if example not in aside)
    return dataclasses.replace(dataset, train=train, val=tuple(val))


def by_label(examples: Sequence[Example], names: Sequence[str]) -> list[list[Example]]:
    """The labelled examples of each class."""
    classes: list[list[Example]] = [[] for _ in names]
    for example in examples:
        if example.is_labelled:
            classes[example.label].append(example)
    return classes


def rank(purpose: str, seed: int, path: str) -> bytes:
    """A place in the order of a draw, as random as a hash."""
    text = f"{purpose}\0{seed}\0{path}"
    return hashlib.sha256(text.encode()).digest()


def _draw(dataset: Dataset, split: str, shots: int, seed: int) -> tuple[Example, ...]:
    examples = getattr(dataset, split)
    classes = by_label(examples, dataset.class_names)
    if all(example.is_labelled for example in examples):
        _warn_of_few(dataset, split, shots, classes)
    unlabelled = [example for example in examples if not example.is_labelled]
    counts = [shots] * len(classes) + [shots * len(classes)]
    return tuple(
        example
        for part, count in zip([*classes, unlabelled], counts, strict=True)
        for example in sorted(part, key=lambda e: rank("shots", seed, e.path))[:count]
    )


def _warn_of_few(
    dataset: Dataset, split: str, shots: int, classes: Sequence[Sequence[Example]]
) -> None:
    short = [
        f"'{name}' ({len(examples)})"
        for name, examples in zip(dataset.class_names, classes, strict=True)
        if len(examples) < shots
    ]
    if short and getattr(dataset, split):
        logging.warning(
            "%s: %d classes have fewer than %d %s images; all of theirs are used: %s",
            *(dataset.name, len(short), shots, split, first_few(short)),
        )

"""Few-shot draws, base and new classes, and splits of classes without one.

Every draw ranks images by a hash of (seed, path). So which images of a class are drawn
depends on nothing but the seed and that class's own paths: not on the order of a
listing, not on other classes, and 4 shots are the first 4 of 16.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from absl import logging

from fdbpl_jax.data.split_file import SPLITS
from fdbpl_jax.data.types import UNLABELLED, Dataset, Example, first_few
from fdbpl_jax.errors import UserError, unknown_name

TEMPLATE = "a photo of a {}."  # of data that comes without one
_VAL_SHOTS = 4  # the field keeps at most so many validation images a class
_VAL_SHARE, _TEST_SHARE = 0.2, 0.3  # CoOp's shares where a data set has no split

Parts = dict[str, tuple[Example, ...]]  # by the names of `SPLITS`
# Makes the parts of a data set of those that its data state: `with_test`, `as_stated`.
Divide = Callable[[Path, Mapping[str, Sequence[Example]], Sequence[str], str], Parts]


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


def as_stated(
    where: Path, parts: Mapping[str, Sequence[Example]], names: Sequence[str], do: str
) -> Parts:
    """The parts that data state, and no others: what is in none is to be learned."""
    return {split: tuple(parts.get(split, ())) for split in SPLITS}


def with_test(
    where: Path, parts: Mapping[str, Sequence[Example]], names: Sequence[str], do: str
) -> Parts:
    """The parts that data state, with one to test on.

    Where there is no "test", "val" takes its place, with a logged warning; of a lone
    "train" each class is split. Arguments and errors are those of `split_classes`.
    """
    stated = as_stated(where, parts, names, do)
    if stated["test"]:
        return stated
    if stated["val"]:
        logging.warning("'%s' has no split 'test': 'val' is tested on", where)
        return {**stated, "test": stated["val"], "val": ()}
    return split_classes(where, stated["train"], names, do)


def split_classes(
    where: Path,
    examples: Sequence[Example],
    names: Sequence[str],
    do: str,
    seed: int = 0,
) -> Parts:
    """Split every class by itself.

    Of each class about 50 % of the images are for training, 20 % for validation and
    30 % for testing, at least one each; which, is drawn per class.

    Args:
      where: the classes are from, for messages.
      names: of the classes, by label.
      do: what to do about classes with too few images, for messages.

    Returns:
      The examples of train, val and test, ordered by label.

    Raises:
      UserError: classes have fewer than three images.
    """
    by_label = _by_label(examples, names)
    sizes = zip(names, map(len, by_label), strict=True)
    if small := [f"'{name}' ({size})" for name, size in sizes if size < 3]:
        raise UserError(
            f"{len(small)} classes in '{where}' have fewer than 3 images, one each for "
            f"train, val and test: {first_few(small)}",
            do,
        )
    drawn = zip(*(_three_parts(of, seed) for of in by_label), strict=True)
    return {
        split: tuple(itertools.chain.from_iterable(part))
        for split, part in zip(SPLITS, drawn, strict=True)
    }


def refuse_untested(
    where: Path, examples: Sequence[Example], names: Sequence[str]
) -> None:
    """Refuse classes without an image in the split "test"."""
    tested = {example.label for example in examples}
    without = [f"'{name}'" for label, name in enumerate(names) if label not in tested]
    if without:
        raise UserError(
            f"{len(without)} classes in '{where}' have no image in the split 'test': "
            f"{first_few(without)}",
            "Give each class one, or leave out the splits to have them drawn.",
        )


def _three_parts(examples: Sequence[Example], seed: int) -> Sequence[Sequence[Example]]:
    ranked = sorted(examples, key=lambda e: _rank("folder split", seed, e.path))
    vals = max(1, int(_VAL_SHARE * len(ranked)))
    tests = max(1, int(_TEST_SHARE * len(ranked)))
    return ranked[vals + tests :], ranked[:vals], ranked[vals : vals + tests]


def hold_out(dataset: Dataset, seed: int) -> Dataset:
    """Put labelled training images aside for validation, where the data state none.

    A fifth of each class, at least one image and never the only one; which, is drawn
    with the seed.
    """
    if dataset.val:
        return dataset
    val: list[Example] = []
    for of_class in _by_label(dataset.train, dataset.class_names):
        ranked = sorted(of_class, key=lambda e: _rank("validation", seed, e.path))
        count = max(1, int(_VAL_SHARE * len(ranked))) if len(ranked) > 1 else 0
        val += ranked[:count]
    aside = set(val)
    train = tuple(example for example in dataset.train if example not in aside)
    return dataclasses.replace(dataset, train=train, val=tuple(val))


def _by_label(examples: Sequence[Example], names: Sequence[str]) -> list[list[Example]]:
    """The labelled examples of each class."""
    by_label: list[list[Example]] = [[] for _ in names]
    for example in examples:
        if example.is_labelled:
            by_label[example.label].append(example)
    return by_label


def _rank(purpose: str, seed: int, path: str) -> bytes:
    text = f"{purpose}\0{seed}\0{path}"
    return hashlib.sha256(text.encode()).digest()


def _draw(dataset: Dataset, split: str, shots: int, seed: int) -> tuple[Example, ...]:
    examples = getattr(dataset, split)
    by_label = _by_label(examples, dataset.class_names)
    if all(example.is_labelled for example in examples):
        _warn_of_few(dataset, split, shots, by_label)
    unlabelled = [example for example in examples if not example.is_labelled]
    counts = [shots] * len(by_label) + [shots * len(by_label)]
    return tuple(
        example
        for part, count in zip([*by_label, unlabelled], counts, strict=True)
        for example in sorted(part, key=lambda e: _rank("shots", seed, e.path))[:count]
    )


def _warn_of_few(
    dataset: Dataset, split: str, shots: int, by_label: Sequence[Sequence[Example]]
) -> None:
    short = [
        f"'{name}' ({len(examples)})"
        for name, examples in zip(dataset.class_names, by_label, strict=True)
        if len(examples) < shots
    ]
    if short and getattr(dataset, split):
        logging.warning(
            "%s: %d classes have fewer than %d %s images; all of theirs are used: %s",
            *(dataset.name, len(short), shots, split, first_few(short)),
        )

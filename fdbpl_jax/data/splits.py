"""Few-shot draws, base and new classes, and splits of folders of images.

Every draw ranks images by a hash of (seed, path). So which images of a class are drawn
depends on nothing but the seed and that class's own paths: not on the order of a
listing, not on other classes, and 4 shots are the first 4 of 16.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import logging

from fdbpl_jax.data.class_names import check_class_names
from fdbpl_jax.data.listing import folder_names, image_names
from fdbpl_jax.data.types import Dataset, Example, first_few
from fdbpl_jax.errors import UserError, unknown_name

TEMPLATE = "a photo of a {}."  # of data that comes without one
_VAL_SHOTS = 4  # the field keeps at most so many validation images a class
_VAL_SHARE, _TEST_SHARE = 0.2, 0.3  # CoOp's shares where a data set has no split


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
    drawn train and val are ordered by label; test examples stay.

    Raises:
      UserError: if `shots` is not positive, or a class has no training image.
    """
    if shots < 1:
        raise UserError(f"shots is {shots}", "Ask for at least one image per class.")
    empty = sorted(
        set(range(len(dataset.class_names))) - {e.label for e in dataset.train}
    )
    if empty:
        names = [f"'{dataset.class_names[label]}'" for label in empty]
        raise UserError(
            f"{len(empty)} classes of data set '{dataset.name}' have no training "
            f"image: {first_few(names)}",
            "Add images of them, or take the classes out of the split.",
        )
    return dataclasses.replace(
        dataset,
        train=_draw(dataset, "train", shots, seed),
        val=_draw(dataset, "val", min(shots, _VAL_SHOTS), seed),
    )


def split_folder(root: Path, seed: int = 0) -> Dataset:
    """Read a plain folder of class folders, `<root>/<class>/<image>`.

    Of each class about 50 % of the images are for training, 20 % for validation and
    30 % for testing, at least one each; which, is drawn per class. Sub-folders are the
    classes, in sorted order. Hidden files are ignored, files of other types too, with a
    logged warning.

    Raises:
      UserError: if `root` has no class folder, classes have fewer than three images,
        or a class name is refused by `check_class_names`.
    """
    classes = folder_names(root)
    if not classes:
        raise UserError(
            f"'{root}' has no folder in it",
            "A plain folder of images is <root>/<class>/<image>, a folder a class.",
        )
    images = {
        name: [f"{name}/{image}" for image in image_names(root / name)]
        for name in classes
    }
    do = (
        "Expected <root>/<class>/<image>, images directly in the class folders: add "
        "images or remove these folders."
    )
    parts = split_classes(root, images, do, seed)
    return Dataset("folder", root, tuple(classes), TEMPLATE, *parts)


def split_classes(
    where: Path, images: Mapping[str, Sequence[str]], do: str, seed: int = 0
) -> tuple[tuple[Example, ...], ...]:
    """Split every class by itself, with the shares of `split_folder`.

    Args:
      where: the classes are from, for messages.
      images: paths by class name; the first class gets the label 0.
      do: what to do about classes with too few images, for messages.

    Returns:
      The examples of train, val and test, ordered by label.

    Raises:
      UserError: as `split_folder`.
    """
    check_class_names(where, tuple(images))
    small = [f"'{name}' ({len(of)})" for name, of in images.items() if len(of) < 3]
    if small:
        raise UserError(
            f"{len(small)} classes in '{where}' have fewer than 3 images, one each for "
            f"train, val and test: {first_few(small)}",
            do,
        )
    parts: tuple[list[Example], ...] = ([], [], [])
    for label, paths in enumerate(images.values()):
        examples = [Example(path, label) for path in paths]
        for part, drawn in zip(parts, _three_parts(examples, seed), strict=True):
            part += drawn
    return tuple(map(tuple, parts))


def _three_parts(examples: Sequence[Example], seed: int) -> Sequence[Sequence[Example]]:
    ranked = sorted(examples, key=lambda e: _rank("folder split", seed, e.path))
    vals = max(1, int(_VAL_SHARE * len(ranked)))
    tests = max(1, int(_TEST_SHARE * len(ranked)))
    return ranked[vals + tests :], ranked[:vals], ranked[vals : vals + tests]


def _rank(purpose: str, seed: int, path: str) -> bytes:
    text = f"{purpose}\0{seed}\0{path}"
    # A file name need not be valid Unicode.
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


def _draw(dataset: Dataset, split: str, shots: int, seed: int) -> tuple[Example, ...]:
    by_label: list[list[Example]] = [[] for _ in dataset.class_names]
    for example in getattr(dataset, split):
        by_label[example.label].append(example)
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
    return tuple(
        example
        for examples in by_label
        for example in sorted(examples, key=lambda e: _rank("shots", seed, e.path))[
            :shots
        ]
    )

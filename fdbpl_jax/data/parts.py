"""The parts of a data set, train, val and test: as data state them, or drawn."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from absl import logging

from fdbpl_jax.data.split_file import SPLITS
from fdbpl_jax.data.splits import by_label, rank
from fdbpl_jax.data.types import Example, first_few
from fdbpl_jax.errors import UserError

_VAL_SHARE, _TEST_SHARE = 0.2, 0.3  # CoOp's shares where a data set has no split

Parts = dict[str, tuple[Example, ...]]  # by the names of `SPLITS`
# Makes the parts of a data set of those that its data state: `with_test`, `as_stated`.
Divide = Callable[[Path, Mapping[str, Sequence[Example]], Sequence[str], str], Parts]


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
    classes = by_label(examples, names)
    sizes = zip(names, map(len, classes), strict=True)
    if small := [f"'{name}' ({size})" for name, size in sizes if size < 3]:
        raise UserError(
            f"{len(small)} classes in '{where}' have fewer than 3 images, one each for "
            f"train, val and test: {first_few(small)}",
            do,
        )
    drawn = zip(*(_three_parts(of, seed) for of in classes), strict=True)
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
    ranked = sorted(examples, key=lambda e: rank("folder split", seed, e.path))
    vals = max(1, int(_VAL_SHARE * len(ranked)))
    tests = max(1, int(_TEST_SHARE * len(ranked)))
    return ranked[vals + tests :], ranked[:vals], ranked[vals : vals + tests]

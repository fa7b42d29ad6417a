"""What only the contents of a data set's images show: broken ones, and copies."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.data.types import Dataset, Example, first_few


def without_broken(dataset: Dataset, records: Path) -> Dataset:
    """Leave out the images that cannot be read, with a logged warning.

    All that are not on record in the folder of `SourceImages.recorded_in` are decoded.
    """
    images = SourceImages.recorded_in(records, dataset.root, memory=0)
    examples = [*dataset.train, *dataset.val, *dataset.test]
    broken = dict(images.broken([example.path for example in examples]))
    if not broken:
        return dataset
    logging.warning(
        "%s: %d of %d images cannot be read and are left out: %s",
        *(dataset.name, len(broken), len(examples), first_few(list(broken))),
    )

    def keep(part: Sequence[Example], is_broken: bool = False) -> tuple[Example, ...]:
        return tuple(e for e in part if (e.path in broken) == is_broken)

    return dataclasses.replace(
        dataset,
        train=keep(dataset.train),
        val=keep(dataset.val),
        test=keep(dataset.test),
        left_out=keep(examples, is_broken=True),
    )


def copies(
    train_images: SourceImages,
    train: Sequence[str],
    test_images: SourceImages,
    test: Sequence[str],
) -> list[str]:
    """A sentence on the test images whose content is trained on, too, if there are any.

    Raises:
      UserError: naming the files that cannot be read.
    """
    trained = set(train_images.hashes(train))
    hashes = test_images.hashes(test)
    same = [path for path, of in zip(test, hashes, strict=True) if of in trained]
    if not same:
        return []
    return [
        f"{len(same)} of {len(test)} test images are training images, too (the same "
        f"bytes): {first_few(same)}"
    ]

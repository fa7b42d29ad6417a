"""What a step gets of a batch, whichever way it was made."""

from typing import NamedTuple

import jax


class Batch(NamedTuple):
    """A batch of regions (or views), its labels and the teacher's word on it.

    What a method does not look at is None.

    Attributes:
      feature: `[B D]`, the frozen student's L2-normalised features.
      label: `[B]`, the data set's class.
      teacher: `[B C]`, teacher probabilities.
      weight: `[B]`, information weight w (equation 6).
      pixels: `[B S S 3]` uint8, for learners that prompt the image tower.
      chosen: `[C]`, which names of a list the classes are; ascending.
    """

    feature: jax.Array | None
    label: jax.Array
    teacher: jax.Array | None
    weight: jax.Array | None
    pixels: jax.Array | None = None
    chosen: jax.Array | None = None


class Seen(NamedTuple):
    """A batch as an objective sees it, under the prompts.

    Attributes:
      image: `[B D]`, L2-normalised features, of a prompted tower where it is prompted.
      text: `[C D]`, of the classes, L2-normalised; `[B C D]` where each image has text
        of its own.
      batch: what else is known of it.
    """

    image: jax.Array
    text: jax.Array
    batch: Batch

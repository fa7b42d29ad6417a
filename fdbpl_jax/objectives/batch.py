"""What an objective sees of a batch, whichever way it was made."""

from typing import NamedTuple

import jax


class Batch(NamedTuple):
    """A batch of regions (or views), its labels and the teacher's word on it.

    Attributes:
      feature: `[B D]`, the student's L2-normalised features.
      label: `[B]`, the data set's class.
      teacher: `[B C]`, teacher probabilities.
      weight: `[B]`, information weight w (equation 6).
    """

    feature: jax.Array
    label: jax.Array
    teacher: jax.Array
    weight: jax.Array

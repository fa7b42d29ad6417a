"""Digests of a table's blocks: each is tied to its array and its place.

TensorStore's own check sums find a shard that was changed, not one that was exchanged
with another: that is whole, in the wrong place. Digests are of values, not of files:
another version of the compression writes other bytes.
"""

import hashlib

import numpy as np
from jaxtyping import Shaped

_SAMPLE = 64  # regions of a block, at least: fewer flips do not tell blocks apart

Values = Shaped[np.ndarray, "n M ..."]  # of a block, as stored


def block_digest(name: str, block: int, values: Values) -> tuple[str, str]:
    """Hash all values of a block, and those of its `sample_slots`: what opening reads.

    Args:
      name, block: of which array, and which of its blocks.

    Returns:
      Two `value_digest`s.
    """
    sample = values[:, : sample_slots(*values.shape[:2])]
    return value_digest(name, block, values), value_digest(name, block, sample)


def value_digest(name: str, block: int, values: Values) -> str:
    """Hash values of a block and its place: half of a SHA-256, in hex."""
    head = f"{name}\0{block}\0{values.shape}\0{values.dtype.str}\0"
    digest = hashlib.sha256(head.encode())
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()[:32]


def sample_slots(images: int, regions: int) -> int:
    """Count the first slots of a block that tell it from others."""
    return min(regions, -(-_SAMPLE // images))

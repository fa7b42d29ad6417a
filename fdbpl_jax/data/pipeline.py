"""Batches of fresh random views, decoded and cut in threads while the device works."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fdbpl_jax.data.images import read_image
from fdbpl_jax.data.types import Example
from fdbpl_jax.errors import UserError

Pixels = UInt8[np.ndarray | jax.Array, "S S 3"]
View = Callable[[Image.Image, np.random.Generator], Pixels | dict[str, Pixels]]

_THREADS = 16  # decoding, cropping and reading all release the GIL


def epoch_steps(examples: int, batch_size: int) -> tuple[int, int]:
    """The batch used, min(batch_size, examples), and whole batches per epoch."""
    batch = min(batch_size, examples)
    return batch, examples // batch


def view_batches(
    root: Path,
    examples: Sequence[Example],
    view: View,
    batch_size: int,
    epochs: int,
    seed: int,
) -> grain.DatasetIterator:
    """Iterate over batches of one random view per image, reshuffled each epoch.

    Which images make up a step follows from (seed, epoch) and what is drawn for each
    from (seed, epoch, path): not from threads, or where a run was interrupted. The
    iterator's `get_state()` and `set_state()` resume exactly.

    Args:
      view: cuts one view from a decoded RGB image with the generator it is given, or
        the same view at several named sizes. Called from several threads at once.
      batch_size: at most all examples are used. What does not fill a batch is left
        out of that epoch.
      seed: of the order and the views, any integer.

    Returns:
      A checkpointable Grain iterator over `{"pixels": uint8 [B S S 3], "label":
      int32 [B]}`; "pixels" has names if views do.

    Raises:
      UserError: without examples. A broken image raises one, naming the file, when its
        batch is asked for.
    """
    if not examples:
        raise UserError("there is no image to train on", "Check the split and shots.")
    batch, steps = epoch_steps(len(examples), batch_size)
    # Grain's order of (seed, epoch + 1) is that of (seed + 1, epoch); hashing the seed
    # first keeps runs of neighbouring seeds apart.
    numbers = grain.MapDataset.range(len(examples))
    order = numbers.shuffle(seed=_key("order", seed) % 2**32)[: steps * batch]

    def cut(position: int, number: int) -> dict[str, Any]:
        # Grain counts positions on through the epochs.
        return _cut(root, examples[number], view, seed, position // (steps * batch))

    return ahead(order.repeat(epochs).map_with_index(cut), batch)


def ahead(examples: grain.MapDataset, batch: int) -> grain.DatasetIterator:
    """Iterate over whole batches, which threads make before they are asked for.

    Arrays of the host are stacked there, those of the device on the device.
    """
    # The buffer counts examples, not batches, as long as batching comes after it.
    options = grain.ReadOptions(_THREADS, max(_THREADS, 2 * batch))
    made = examples.to_iter_dataset(options)
    return iter(made.batch(batch, drop_remainder=True, batch_fn=_stack))


def _stack(examples: Sequence[Any]) -> Any:
    return jax.tree.map(
        lambda *leaves: (jnp if isinstance(leaves[0], jax.Array) else np).stack(leaves),
        *examples,
    )


def _cut(
    root: Path, example: Example, view: View, seed: int, epoch: int
) -> dict[str, Any]:
    key = _key("view", seed, epoch, example.path)
    rng = np.random.Generator(np.random.Philox(key=key))
    pixels = view(read_image(root, example.path), rng)
    return {"pixels": pixels, "label": np.int32(example.label)}


def _key(*parts: str | int) -> int:
    text = "\0".join(str(part) for part in parts)
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:16])

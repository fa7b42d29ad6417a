"""A RIL table of random values; reading speed does not depend on the contents.

Random labels and features hardly compress; real tables are smaller.
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from fdbpl_jax.config import CropConfig
from fdbpl_jax.ril import ledger, records, store
from fdbpl_jax.ril.labels import entropy
from fdbpl_jax.ril.manifest import feature_name
from fdbpl_jax.ril.spec import ImageRecord, TableSpec

_SIZE = (375, 500)  # height and width of the images, which do not exist
_SHARPNESS = 8.0  # scale of the teacher's logits: sets the top class's share of a label


def synthetic_spec(
    images: int, regions: int, classes: int, keep: int, width: int
) -> TableSpec:
    """Return the specification of such a table; width: D, 0 for no features."""
    records = (ImageRecord(f"{i:06d}.jpg", _SIZE, f"{i:064x}") for i in range(images))
    return TableSpec(
        dataset="synthetic",
        class_names=tuple(f"class {i}" for i in range(classes)),
        images=tuple(records),
        teacher="0" * 64,
        template="a photo of a {}.",
        temperature=100.0,
        student="1" * 64 if width else "",
        feature_width=width,
        crop=CropConfig(),
        seed=0,
        regions=regions,
        keep=keep,
        dtype="float32",
        cut="host",
    )


def write_table(path: Path, spec: TableSpec) -> None:
    """Write a finished table of `spec`, block by block as the builder does."""
    folder = store.open_folder(path)
    ledger.begin(folder, spec)
    arrays = ledger.open_arrays(folder, spec)
    block = store.block_of(arrays["box"])
    rng = np.random.default_rng(spec.seed)
    for first in range(0, len(spec.images), block):
        count = min(block, len(spec.images) - first)
        values = _block(rng, spec, count)
        records.write_block(folder, arrays, first // block, values, 0.0)
    records.finish(folder, spec, arrays)


def _block(
    rng: np.random.Generator, spec: TableSpec, count: int
) -> dict[str, np.ndarray]:
    """Draw random values of all arrays for `count` images."""
    shape = (count, spec.regions)
    score = rng.random((*shape, len(spec.class_names)), np.float32)
    exp = np.exp(_SHARPNESS * score)
    prob = exp / exp.sum(-1, keepdims=True)
    index = np.argsort(-prob, axis=-1)[..., : spec.keep]
    kept = np.take_along_axis(prob, index, -1)
    half = rng.integers(0, np.array(_SIZE) // 2, (*shape, 2))
    size = rng.integers(64, np.array(_SIZE) // 2, (*shape, 2))
    values = {
        "box": np.concatenate([half, size], -1).astype(np.uint16),
        "flip": rng.random(shape) < 0.5,
        "label_index": index.astype(np.uint16),
        "label_prob": kept.astype(np.float16),
        "entropy": np.asarray(entropy(jnp.asarray(prob))),
    }
    if spec.student:
        feature = rng.standard_normal((*shape, spec.feature_width), np.float32)
        feature /= np.linalg.norm(feature, axis=-1, keepdims=True)
        values[feature_name(spec.student)] = feature.astype(np.float16)
    return values

"""Teacher labels and student features of cut regions, several batches in flight."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from fdbpl_jax.clip.model import Clip, image_features, text_features
from fdbpl_jax.data.types import written_texts
from fdbpl_jax.errors import UserError
from fdbpl_jax.ril.crops import BlockWork, CutBatch
from fdbpl_jax.ril.labels import soft_labels
from fdbpl_jax.ril.spec import TableSpec

_IN_FLIGHT = 2  # batches on the device before the first is fetched

Values = dict[str, np.ndarray]


class BuildModels(NamedTuple):
    """The frozen models of a build."""

    teacher: Clip  # of the labels
    text: Float[jax.Array, "C D"]  # the teacher's features of the class prompts
    student: Clip | None  # of the features; None: none are wanted


def load_models(spec: TableSpec, teacher: Clip, student: Clip | None) -> BuildModels:
    """Encode the class prompts of the teacher's template, once for the build."""
    texts = written_texts(spec.template, spec.class_names)
    return BuildModels(teacher, text_features(teacher, texts), student)


def compute(
    spec: TableSpec, models: BuildModels, batches: Iterable[CutBatch]
) -> Iterator[tuple[BlockWork, Values]]:
    """Run the models on all batches; yield each block when its last batch is done.

    Its values by name, of n images and M regions each: label_index [n M K], label_prob
    [n M K] and entropy [n M], feature [n M D]; UserError if one is not finite.
    """
    flying: deque[tuple[CutBatch, dict[str, jax.Array]]] = deque()
    parts: list[Values] = []

    def land() -> Iterator[tuple[BlockWork, Values]]:
        batch, outputs = flying.popleft()
        real = batch.stop - batch.start  # the rest is padding
        parts.append({name: np.asarray(part)[:real] for name, part in outputs.items()})
        if batch.stop == batch.work.flip.size:
            values = _join(batch.work, parts)
            parts.clear()
            yield batch.work, values

    for batch in batches:
        flying.append((batch, _run(spec, models, batch)))
        if len(flying) > _IN_FLIGHT:
            yield from land()
    while flying:
        yield from land()


def _run(spec: TableSpec, models: BuildModels, batch: CutBatch) -> dict[str, jax.Array]:
    outputs = {}
    if batch.work.labels:
        pixels = batch.pixels[models.teacher.image.size]
        feature = image_features(models.teacher, pixels)
        scale = np.float32(spec.temperature)
        index, prob, entropy = soft_labels(feature, models.text, scale, spec.keep)
        outputs = {"label_index": index, "label_prob": prob, "entropy": entropy}
    if batch.work.features and models.student is not None:
        pixels = batch.pixels[models.student.image.size]
        outputs["feature"] = image_features(models.student, pixels)
    return outputs


def _join(work: BlockWork, parts: list[Values]) -> Values:
    """Put the batches of a block together as [n M …], and check them."""
    values = {}
    for name in parts[0]:
        flat = np.concatenate([part[name] for part in parts])
        value = values[name] = flat.reshape(*work.flip.shape, *flat.shape[1:])
        finite = np.isfinite(value).reshape(len(value), -1).all(axis=1)
        if not finite.all():
            image = work.images[int(np.argmin(finite))]
            raise UserError(
                f"the {'student' if name == 'feature' else 'teacher'} gives a {name} "
                f"that is not finite for a region of '{image.path}'",
                "Check the model's weights.",
            )
    return values

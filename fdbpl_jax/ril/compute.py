"""What teacher and student say of cut regions, a batch in flight behind the next."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from fdbpl_jax.clip.model import Clip, image_features, text_features
from fdbpl_jax.data.types import prompt_name
from fdbpl_jax.errors import UserError
from fdbpl_jax.ril.crops import BlockWork, CutBatch
from fdbpl_jax.ril.labels import soft_labels
from fdbpl_jax.ril.spec import TableSpec

_IN_FLIGHT = 2  # batches on the device before the first is fetched

Values = dict[str, np.ndarray]


class Models(NamedTuple):
    """The frozen models of a build.

    teacher: makes the labels; None: they are all there. text [C D]: its features of the
    class prompts. student: makes the features; None: none are wanted.
    """

    teacher: Clip | None
    text: jax.Array | None
    student: Clip | None


def load_models(spec: TableSpec, teacher: Clip | None, student: Clip | None) -> Models:
    """The models, and the teacher's text features of `template` for every class."""
    if teacher is None:
        return Models(None, None, student)
    texts = [spec.template.format(prompt_name(name)) for name in spec.class_names]
    return Models(teacher, text_features(teacher, texts), student)


def compute(
    spec: TableSpec, models: Models, batches: Iterable[CutBatch]
) -> Iterator[tuple[BlockWork, Values]]:
    """Runs the models on all batches; gives each block when its last batch is done.

    Returns:
      The block, and by name what was made of its n images and M regions each:
      label_index [n M K], label_prob [n M K] and entropy [n M], feature [n M D].

    Raises:
      UserError: a model gives numbers that are not finite, naming the image.
    """
    flying: deque[tuple[CutBatch, dict[str, jax.Array]]] = deque()
    parts: list[Values] = []

    def land() -> Iterator[tuple[BlockWork, Values]]:
        batch, made = flying.popleft()
        real = batch.stop - batch.start
        parts.append({name: np.asarray(part)[:real] for name, part in made.items()})
        if batch.stop == batch.work.flip.size:
            values = _whole(batch.work, parts)
            parts.clear()
            yield batch.work, values

    for batch in batches:
        flying.append((batch, _run(spec, models, batch)))
        if len(flying) > _IN_FLIGHT:
            yield from land()
    while flying:
        yield from land()


def _run(spec: TableSpec, models: Models, batch: CutBatch) -> dict[str, jax.Array]:
    made = {}
    if batch.work.labels and models.teacher is not None:
        seen = image_features(models.teacher, batch.pixels[models.teacher.image.size])
        scale = np.float32(spec.temperature)
        index, prob, entropy = soft_labels(seen, models.text, scale, spec.keep)
        made = {"label_index": index, "label_prob": prob, "entropy": entropy}
    if batch.work.features and models.student is not None:
        pixels = batch.pixels[models.student.image.size]
        made["feature"] = image_features(models.student, pixels)
    return made


def _whole(work: BlockWork, parts: list[Values]) -> Values:
    values = {}
    for name in parts[0]:
        whole = np.concatenate([part[name] for part in parts])
        values[name] = whole.reshape(*work.flip.shape, *whole.shape[1:])
    for name, value in values.items():
        finite = np.isfinite(value).reshape(len(value), -1).all(axis=1)
        if not finite.all():
            image = work.images[int(np.argmin(finite))]
            raise UserError(
                f"the {'student' if name == 'feature' else 'teacher'} gives a {name} "
                f"that is not finite for a region of '{image.path}'",
                "Check the model's weights.",
            )
    return values

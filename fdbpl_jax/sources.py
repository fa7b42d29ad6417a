"""Training data for the loop: rows of a RIL table, or views with the teacher online."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from fdbpl_jax.clip.image import ImageSettings, normalise
from fdbpl_jax.clip.model import Clip, text_features
from fdbpl_jax.clip.vision import VisionConfig, encode_image
from fdbpl_jax.config import CropConfig, OptimConfig, RilConfig
from fdbpl_jax.data.pipeline import epoch_steps, view_batches
from fdbpl_jax.data.types import Dataset, Example, prompt_name
from fdbpl_jax.objectives.batch import Batch
from fdbpl_jax.ril.labels import entropy, information_weight
from fdbpl_jax.ril.reader import EpochPlan, epoch_iterator
from fdbpl_jax.ril.regions import crop_region, draw_region
from fdbpl_jax.ril.table import Table
from fdbpl_jax.step import RegionBatch
from fdbpl_jax.train import Source


def table_source(
    table: Table,
    examples: Sequence[Example],
    optim: OptimConfig,
    ril: RilConfig,
    seed: int,
) -> Source:
    """Epochs of stored regions of `examples`; one read and one upload an epoch."""
    row_of = {image.path: row for row, image in enumerate(table.spec.images)}
    plan = EpochPlan(
        epochs=optim.epochs,
        regions_per_epoch=ril.regions_per_epoch,
        batch_size=optim.batch_size,
        access=ril.access,
        seed=seed,
    )
    rows = np.array([row_of[example.path] for example in examples], np.int64)
    labels = np.array([example.label for example in examples], np.int32)
    shard = (jax.process_index(), jax.process_count())
    loader = epoch_iterator(table, rows, labels, plan, shard=shard)
    return Source(loader, 1, _upload_regions)


def _upload_regions(epoch: dict[str, np.ndarray]) -> RegionBatch:
    return RegionBatch(**jax.device_put({k: epoch[k] for k in RegionBatch._fields}))


def online_source(
    student: Clip,
    teacher: Clip,
    dataset: Dataset,
    crop: CropConfig,
    optim: OptimConfig,
    seed: int,
) -> Source:
    """Fresh views of `dataset.train`, through student and teacher at every step.

    This is how KDPL trains. The same region goes to both towers, each at its own size.
    """
    sizes = (student.image.size, teacher.image.size)
    view = functools.partial(_view, crop, sizes)
    _, steps = epoch_steps(len(dataset.train), optim.batch_size)
    shard = (jax.process_index(), jax.process_count())
    loader = view_batches(
        dataset.root, dataset.train, view, optim.batch_size, optim.epochs, seed, shard
    )
    # The teacher's text never changes; KDPL computes it once as well.
    texts = [dataset.template.format(prompt_name(name)) for name in dataset.class_names]
    class_text = text_features(teacher, texts)

    def prepare(element: dict) -> Batch:
        pixels, label = jax.device_put((element["pixels"], element["label"]))
        return online_batch(
            (
                student.config.vision,
                student.image,
                teacher.config.vision,
                teacher.image,
            ),
            student.params,
            teacher.params,
            class_text,
            pixels,
            label,
        )

    return Source(loader, steps, prepare)


def _view(
    crop: CropConfig,
    sizes: tuple[int, int],
    image: Image.Image,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    box, flip = draw_region(crop, rng, (image.height, image.width))
    student = crop_region(image, box, flip, sizes[0])
    if sizes[1] == sizes[0]:
        return {"student": student, "teacher": student}
    return {"student": student, "teacher": crop_region(image, box, flip, sizes[1])}


Towers = tuple[VisionConfig, ImageSettings, VisionConfig, ImageSettings]


@functools.partial(jax.jit, static_argnames="towers")
def online_batch(
    towers: Towers, student: dict, teacher: dict, class_text, pixels: dict, label
) -> Batch:
    """A batch of one step, with the leading axis that the compiled step scans over."""
    student_vision, student_image, teacher_vision, teacher_image = towers
    feature = _unit(
        encode_image(
            student_vision,
            student["vision"],
            normalise(student_image, pixels["student"]),
        )
    )
    seen = _unit(
        encode_image(
            teacher_vision,
            teacher["vision"],
            normalise(teacher_image, pixels["teacher"]),
        )
    )
    scale = jnp.exp(teacher["logit_scale"])
    probability = jax.nn.softmax(scale * (seen @ class_text.T))
    weight = information_weight(entropy(probability), class_text.shape[0])
    batch = Batch(feature, label, probability, weight)
    return jax.tree.map(lambda array: array[None], batch)


def _unit(features):
    return features / jnp.linalg.norm(features, axis=-1, keepdims=True)

"""Training data for the loop.

Rows of a RIL table, with or without their pixels, or fresh views of the images, with or
without the teacher online.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from fdbpl_jax.config import OptimConfig, RilConfig
from fdbpl_jax.data.pipeline import epoch_steps, view_batches
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.device import is_accelerator
from fdbpl_jax.learners.learner import Models, Student, frozen_features
from fdbpl_jax.losses.kdpl import class_agnostic
from fdbpl_jax.losses.loss import Batch
from fdbpl_jax.methods.table import Method
from fdbpl_jax.ril.labels import entropy, information_weight, teacher_logits
from fdbpl_jax.ril.reader import EpochPlan, epoch_iterator, region_batches
from fdbpl_jax.ril.table import Table
from fdbpl_jax.training.loop import Source
from fdbpl_jax.training.state import RegionBatch
from fdbpl_jax.training.views import Cutter


class TrainingData(NamedTuple):
    """The images of a training, and in which order and portions they are read."""

    dataset: Dataset  # its training images
    optim: OptimConfig  # epochs and batch size
    ril: RilConfig  # regions per epoch, access and crop
    seed: int  # of the order and of fresh views


def table_source(table: Table, data: TrainingData) -> Source:
    """Epochs of stored regions; one read and one upload per epoch."""
    plan = epoch_plan(data.optim, data.ril, data.seed)
    loader = epoch_iterator(table, *_rows(table, data), plan)
    return Source(loader, 1, lambda epoch: jax.device_put(_regions(epoch)))


def region_source(table: Table, data: TrainingData, models: Models) -> Source:
    """Stored regions with their pixels, one step at a time."""
    rows, labels = _rows(table, data)
    cutter = _cutter({"student": models.student.image.size})
    plan = epoch_plan(data.optim, data.ril, data.seed)
    loader = region_batches(
        table, data.dataset.root, rows, labels, plan, cut=cutter.cut
    )
    regions = len(rows) * plan.regions_per_epoch
    _, steps = epoch_steps(regions, data.optim.batch_size)

    def prepare(step: dict[str, Any]) -> RegionBatch:
        regions = step | {"pixels": step["pixels"]["student"]}
        return jax.tree.map(lambda x: jax.device_put(x)[None], _regions(regions))

    return Source(loader, steps, prepare)


def _rows(table: Table, data: TrainingData) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the table and labels of the training images."""
    row_of = {image.path: row for row, image in enumerate(table.spec.images)}
    examples = data.dataset.train
    rows = np.array([row_of[example.path] for example in examples], np.int64)
    labels = np.array([example.label for example in examples], np.int32)
    return rows, labels


def epoch_plan(optim: OptimConfig, ril: RilConfig, seed: int) -> EpochPlan:
    """What the epochs of a training read of a table."""
    regions = ril.regions_per_epoch
    return EpochPlan(optim.epochs, regions, optim.batch_size, ril.access, seed)


def _regions(rows: dict[str, Any]) -> RegionBatch:
    return RegionBatch(**{k: rows[k] for k in RegionBatch._fields if k in rows})


@dataclasses.dataclass(frozen=True)
class Viewing:
    """All that the encoding of a batch of fresh views is compiled for."""

    student: Student
    teacher: Student | None  # None: the method has none
    prompted: bool  # the student's image tower is: its features depend on the step
    keep: int  # names that class-agnostic distillation keeps; 0: all classes


def view_source(
    data: TrainingData,
    method: Method,
    models: Models,
    class_text: Float[Array, "C D"] | None,
    keep: int,
) -> Source:
    """Fresh views of the images, through the towers at every step.

    This is how KDPL trains, and all methods that prompt the image tower. The same
    region goes to both towers, each at its own size.

    Args:
      class_text: the teacher's, of all names that are distilled; None: no teacher.
      keep: see `Viewing`.
    """
    student, teacher = models
    online, prompted = method.loss.online, method.learner.prompts_images
    of_teacher = Student(teacher.config, teacher.image) if online else None
    viewing = Viewing(models.static, of_teacher, prompted, keep)
    sizes = {"student": student.image.size}
    if online:
        sizes["teacher"] = teacher.image.size
    dataset, optim = data.dataset, data.optim
    loader = view_batches(
        dataset.root,
        dataset.train,
        functools.partial(_cutter(sizes).view, data.ril.crop),
        optim.batch_size,
        optim.epochs,
        data.seed,
    )
    _, steps = epoch_steps(len(dataset.train), optim.batch_size)

    def prepare(element: dict[str, Any]) -> Batch:
        pixels, label = jax.device_put((element["pixels"], element["label"]))
        params = student.params, teacher.params
        return view_batch(viewing, *params, class_text, pixels, label)

    return Source(loader, steps, prepare)


@functools.partial(jax.jit, static_argnames="viewing")
def view_batch(
    viewing: Viewing,
    student: dict[str, Any],
    teacher: dict[str, Any],
    class_text: Float[Array, "C D"] | None,
    pixels: dict[str, UInt8[Array, "B _ _ 3"]],
    label: Int[Array, " B"],
) -> Batch:
    """A batch of one step, with the leading axis that the compiled step scans over."""
    feature = probability = weight = chosen = None
    if not viewing.prompted:
        feature = frozen_features(viewing.student, student["vision"], pixels["student"])
    if viewing.teacher and class_text is not None:
        image = frozen_features(viewing.teacher, teacher["vision"], pixels["teacher"])
        logits = teacher_logits(image, class_text, jnp.exp(teacher["logit_scale"]))
        probability = jax.nn.softmax(logits)
        if viewing.keep:
            chosen, probability = class_agnostic(logits, viewing.keep)
        weight = information_weight(entropy(probability), probability.shape[-1])
    prompted_pixels = pixels["student"] if viewing.prompted else None
    batch = Batch(feature, label, probability, weight, prompted_pixels, chosen)
    return jax.tree.map(lambda array: array[None], batch)


def _cutter(sizes: dict[str, int]) -> Cutter:
    return Cutter(sizes, "device" if is_accelerator() else "host")

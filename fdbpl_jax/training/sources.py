"""Training data for the loop: rows of a RIL table, with or without their pixels, or
fresh views of the images, with or without the teacher online."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fdbpl_jax.clip.model import Clip
from fdbpl_jax.config import CropConfig, OptimConfig, RilConfig
from fdbpl_jax.data.pipeline import epoch_steps, view_batches
from fdbpl_jax.data.types import Dataset, Example
from fdbpl_jax.device import is_accelerator
from fdbpl_jax.learners.learner import Student, frozen_features
from fdbpl_jax.losses.batch import Batch
from fdbpl_jax.losses.kdpl import class_agnostic
from fdbpl_jax.methods.method import Method
from fdbpl_jax.ril.labels import entropy, information_weight
from fdbpl_jax.ril.reader import EpochPlan, epoch_iterator, region_batches
from fdbpl_jax.ril.table import Table
from fdbpl_jax.training.loop import Source
from fdbpl_jax.training.state import RegionBatch
from fdbpl_jax.training.views import Cutter


def table_source(
    table: Table,
    examples: Sequence[Example],
    optim: OptimConfig,
    ril: RilConfig,
    seed: int,
) -> Source:
    """Epochs of stored regions of `examples`; one read and one upload an epoch."""
    rows, labels, plan = _reading(table, examples, optim, ril, seed)
    loader = epoch_iterator(table, rows, labels, plan, shard=_shard())
    return Source(loader, 1, _upload_regions)


def region_source(
    table: Table,
    dataset: Dataset,
    student: Clip,
    optim: OptimConfig,
    ril: RilConfig,
    seed: int,
) -> Source:
    """Stored regions of `dataset.train` with their pixels, a step at a time."""
    rows, labels, plan = _reading(table, dataset.train, optim, ril, seed)
    cutter = _cutter({"student": student.image.size})
    loader = region_batches(
        table, dataset.root, rows, labels, plan, cutter.cut, shard=_shard()
    )
    _, steps = epoch_steps(len(rows) * plan.regions_per_epoch, optim.batch_size)

    def prepare(step: dict) -> RegionBatch:
        rows = step | {"pixels": step["pixels"]["student"]}
        return jax.tree.map(lambda x: jax.device_put(x)[None], _regions(rows))

    return Source(loader, steps, prepare)


def _reading(
    table: Table,
    examples: Sequence[Example],
    optim: OptimConfig,
    ril: RilConfig,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, EpochPlan]:
    """Rows of the table, labels, and the plan of what is read of them."""
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
    return rows, labels, plan


def _upload_regions(epoch: dict[str, np.ndarray]) -> RegionBatch:
    return jax.device_put(_regions(epoch))


def _regions(rows: dict[str, np.ndarray]) -> RegionBatch:
    return RegionBatch(**{k: rows[k] for k in RegionBatch._fields if k in rows})


@dataclasses.dataclass(frozen=True)
class Viewing:
    """All that the encoding of a batch of fresh views is compiled for."""

    student: Student
    teacher: Student | None  # None: the method has none
    prompted: bool  # the student's image tower is: its features are no business here
    keep: int  # names that class-agnostic distillation keeps; 0: all classes


def view_source(
    method: Method,
    student: Clip,
    teacher: Clip,
    class_text: Float[Array, "C D"] | None,
    keep: int,
    dataset: Dataset,
    crop: CropConfig,
    optim: OptimConfig,
    seed: int,
) -> Source:
    """Fresh views of `dataset.train`, through the towers at every step.

    This is how KDPL trains, and all methods that prompt the image tower. The same
    region goes to both towers, each at its own size.

    Args:
      method: which towers it needs.
      student, teacher: the models.
      class_text: the teacher's, of all names that are distilled; they never change.
      keep: see `Viewing`.
      dataset: whose training images are seen.
      crop: how regions are drawn.
      optim: epochs and batch size.
      seed: of order and views.
    """
    viewing = Viewing(
        Student(student.config, student.image),
        Student(teacher.config, teacher.image) if method.online else None,
        method.prompts_images,
        keep,
    )
    sizes = {"student": student.image.size}
    if method.online:
        sizes["teacher"] = teacher.image.size
    view = functools.partial(_cutter(sizes).view, crop)
    _, steps = epoch_steps(len(dataset.train), optim.batch_size)
    loader = view_batches(
        dataset.root,
        dataset.train,
        view,
        optim.batch_size,
        optim.epochs,
        seed,
        _shard(),
    )

    def prepare(element: dict) -> Batch:
        pixels, label = jax.device_put((element["pixels"], element["label"]))
        params = student.params, teacher.params
        return view_batch(viewing, *params, class_text, pixels, label)

    return Source(loader, steps, prepare)


@functools.partial(jax.jit, static_argnames="viewing")
def view_batch(
    viewing: Viewing, student: dict, teacher: dict, class_text, pixels: dict, label
) -> Batch:
    """A batch of one step, with the leading axis that the compiled step scans over."""
    feature = probability = weight = chosen = None
    if not viewing.prompted:
        feature = frozen_features(viewing.student, student["vision"], pixels["student"])
    if viewing.teacher:
        seen = frozen_features(viewing.teacher, teacher["vision"], pixels["teacher"])
        logits = jnp.exp(teacher["logit_scale"]) * (seen @ class_text.T)
        probability = jax.nn.softmax(logits)
        if viewing.keep:
            chosen, probability = class_agnostic(logits, viewing.keep)
        weight = information_weight(entropy(probability), probability.shape[-1])
    own = pixels["student"] if viewing.prompted else None
    batch = Batch(feature, label, probability, weight, own, chosen)
    return jax.tree.map(lambda array: array[None], batch)


def _cutter(sizes: dict[str, int]) -> Cutter:
    return Cutter(sizes, "device" if is_accelerator() else "host")


def _shard() -> tuple[int, int]:
    return jax.process_index(), jax.process_count()

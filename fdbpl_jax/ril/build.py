"""Phase 1: from images, a teacher and a student to a RIL table.

Blocks of images are the grain of everything: a block is computed at once, written as
whole files, claimed by one builder, and after a kill either there or made again.
"""

import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import Path

import tensorstore as ts
from absl import logging

from fdbpl_jax.clip.model import Clip, logit_scale
from fdbpl_jax.config import RilConfig
from fdbpl_jax.data.types import Dataset, Example
from fdbpl_jax.device import is_accelerator
from fdbpl_jax.errors import UserError
from fdbpl_jax.ril import ledger, store
from fdbpl_jax.ril.blocks import Site, make_blocks
from fdbpl_jax.ril.records import image_records
from fdbpl_jax.ril.spec import TableSpec
from fdbpl_jax.ril.table import Table, open_table, region_bytes

_PAPER_KEEP = 20  # K
_BATCH = 128  # regions computed at once
_THREADS = 16  # at most, unless asked for: each holds a batch of pixels


@dataclasses.dataclass(frozen=True)
class BuildReport:
    """What a build did."""

    seconds: float
    regions: int  # that the table holds
    regions_built: int  # of them, made by this call


def plan_spec(
    dataset: Dataset,
    examples: Sequence[Example],
    teacher: Clip,
    student: Clip | None,
    ril: RilConfig,
    regions: int,
) -> TableSpec:
    """What a table of `examples` would be made from.

    Args:
      dataset: gives the classes, in order, and the teacher's template.
      examples: which images; their order does not matter.
      teacher: of the labels.
      student: of the features; None: no features.
      ril: gives K (0: the paper's 20, or all where that is fewer or labels are to be
        "full"), the crop and the seed.
      regions: M.

    Raises:
      UserError: images that cannot be read, listed, or values that make no table.
    """
    classes = len(dataset.class_names)
    if ril.label == "full" and ril.keep not in (0, classes):
        raise UserError(
            f"labels are to be 'full', and keep is {ril.keep} of {classes} classes",
            "Keep all of them (keep 0), or use 'mr' or 'ms'.",
        )
    most = classes if ril.label == "full" else min(_PAPER_KEEP, classes)
    return TableSpec(
        dataset=dataset.name,
        class_names=tuple(dataset.class_names),
        images=image_records(dataset.root, [example.path for example in examples]),
        teacher=teacher.fingerprint,
        template=dataset.template,
        # Six digits: another machine's exp() may differ in the last bit.
        temperature=float(f"{logit_scale(teacher):.6g}"),
        student=student.fingerprint if student else "",
        feature_width=student.config.projection if student else 0,
        crop=ril.crop,
        seed=ril.seed,
        regions=regions,
        keep=ril.keep or most,
        dtype=teacher.dtype,
        cut="device" if is_accelerator() else "host",
    )


def ensure_table(
    path: str | Path,
    spec: TableSpec,
    root: Path,
    teacher: Clip,
    student: Clip | None,
    shard: tuple[int, int] = (0, 1),
) -> tuple[Table, BuildReport | None]:
    """Opens the table at `path` if it serves; builds it, or what is missing of it.

    A table that holds more images, regions or labels than `spec` serves. Features of a
    student that it lacks are added.

    Args:
      path: the table's folder, or a URL.
      spec: what is needed.
      root: the folder of the images.
      teacher: of the labels.
      student: of the features; None: no features.
      shard: this process's (index, count) when several build; all of them return when
        the whole table is there.

    Returns:
      The open table, and what was done; None if the table was already there.

    Raises:
      UserError: a table that does not fit, naming the field; and as `build_table`.
    """
    folder = store.open_folder(path)
    found = ledger.find(folder, spec)
    if found is not None:
        spec = found
        if ledger.is_complete(folder, spec):
            return open_table(path, spec.student), None
    report = build_table(path, spec, root, teacher, student, shard=shard)
    ledger.wait(folder, spec)
    return open_table(path, spec.student), report


def build_table(
    path: str | Path,
    spec: TableSpec,
    root: Path,
    teacher: Clip,
    student: Clip | None,
    batch_size: int = _BATCH,
    workers: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> BuildReport:
    """Builds a table, or goes on with one that was broken off, or mends one.

    After any kill the same call goes on at the first block that is not there, to a
    table equal in every bit. Several builders of one table, on one machine or on a
    shared file system, take blocks from each other and never write the same one.

    Args:
      path: the table's folder, or a URL.
      spec: what it is made from, see `plan_spec`.
      root: the folder of the images.
      teacher: of the labels.
      student: of the features; None: no features.
      batch_size: regions computed at once, at most.
      workers: threads that decode and cut; 0: one a processor, up to 16.
      shard: (index, count): this call makes every count-th block only. The call that
        finds all blocks there finishes the table.

    Raises:
      UserError: the folder holds another table, or one begun with another spec, naming
        the field; an image is broken; the disk is full. Finished blocks stay.
    """
    _check_model("teacher", teacher, spec.teacher)
    _check_model("student", student, spec.student)
    folder = store.open_folder(path)
    ledger.begin(folder, spec)
    settings = (batch_size, workers, shard)
    return _fill(folder, spec, root, teacher, student, settings)


def add_features(
    path: str | Path,
    root: Path,
    student: Clip,
    batch_size: int = _BATCH,
    workers: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> BuildReport:
    """Adds a student's features of all regions to a finished table.

    Args: as `build_table`, whose promises on kills and on other builders hold.

    Raises:
      UserError: there is no finished table, or as `build_table`.
    """
    table = open_table(path, "")
    spec = dataclasses.replace(
        table.spec,
        student=student.fingerprint,
        feature_width=student.config.projection,
    )
    settings = (batch_size, workers, shard)
    return _fill(table.folder, spec, root, None, student, settings)


def _fill(
    folder: ts.KvStore,
    spec: TableSpec,
    root: Path,
    teacher: Clip | None,
    student: Clip | None,
    settings: tuple[int, int, tuple[int, int]],
) -> BuildReport:
    """Makes this process's share of the blocks that are not there."""
    for kind, clip in (("teacher", teacher), ("student", student)):
        _check_dtype(kind, clip, spec, folder)
    batch_size, workers, (index, count) = settings
    start = time.perf_counter()
    arrays = ledger.open_arrays(folder, spec)
    site = Site(
        folder=folder,
        locks=ledger.lock_folder(folder),
        spec=spec,
        arrays=arrays,
        root=root,
        teacher=teacher,
        student=student,
        batch_size=batch_size,
        workers=workers or min(_THREADS, os.cpu_count() or 1),
    )
    blocks = [
        block
        for block in ledger.missing_blocks(folder, spec, arrays)
        if block % count == index
    ]
    images = sum(len(site.images(block)) for block in blocks)
    size = images * spec.regions * region_bytes(spec)
    ledger.check_space(folder, size)
    if blocks:
        logging.info(
            "RIL table '%s': %d images × %d regions to make, %d labels kept, %.1f MB",
            *(folder.path, images, spec.regions, spec.keep, size / 1e6),
        )
    made = make_blocks(site, blocks) if blocks else 0
    if not ledger.missing_blocks(folder, spec, arrays):
        ledger.finish(folder, spec)
    regions = len(spec.images) * spec.regions
    return BuildReport(time.perf_counter() - start, regions, made)


def _check_model(kind: str, clip: Clip | None, fingerprint: str) -> None:
    found = clip.fingerprint if clip else ""
    if found != fingerprint:
        raise UserError(
            f"the {kind} given has fingerprint '{found[:12]}', and the table is to be "
            f"made with '{fingerprint[:12]}'",
            "Give the model that the table was planned with.",
        )


def _check_dtype(
    kind: str, clip: Clip | None, spec: TableSpec, folder: ts.KvStore
) -> None:
    if clip is not None and clip.dtype != spec.dtype:
        raise UserError(
            f"the {kind} is in {clip.dtype}, and RIL table '{folder.path}' was made in "
            f"{spec.dtype}: its rows would not be of one kind",
            f"Set the dtype to {spec.dtype}, or choose another folder for the table.",
        )

"""Phase 1: from images, a teacher and a student to a RIL table.

Blocks of images are the unit of work: a block is computed in one go, written as whole
files, claimed by one builder, and after a kill either complete or built again.
"""

import dataclasses
import time
from pathlib import Path

from absl import logging

from fdbpl_jax.clip.model import Clip, logit_scale
from fdbpl_jax.config import RilConfig
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.device import is_accelerator
from fdbpl_jax.errors import UserError
from fdbpl_jax.ril import ledger, records, store
from fdbpl_jax.ril.blocks import (
    BATCH_SIZE,
    DEFAULT_SETTINGS,
    BuildSettings,
    Site,
    make_blocks,
)
from fdbpl_jax.ril.regions import check_crop
from fdbpl_jax.ril.spec import ImageRecord, TableSpec
from fdbpl_jax.ril.table import Table, open_table, region_bytes

_PAPER_KEEP = 20  # K
_SLOT_BYTES = 40  # of a block beside its values: index, check sum, what zstd adds


@dataclasses.dataclass(frozen=True)
class BuildReport:
    """The result of a build."""

    seconds: float
    regions: int  # in the table
    regions_built: int  # of them, built by this call


def plan_spec(
    dataset: Dataset,
    teacher: Clip,
    student: Clip | None,
    ril: RilConfig,
    regions: int,
    *,
    images: SourceImages | None = None,
    batch_size: int = BATCH_SIZE,
) -> TableSpec:
    """Describe the table of a data set's training images, whose order does not matter.

    Args:
      student: of the features; None: no features.
      ril: gives K (0: the paper's 20, or all where that is fewer or labels are to be
        "full"), the crop and the seed.
      regions: M.
      images: of the data set, which are checked; None: nothing of them is on record.
      batch_size: regions computed at once, at most; another one rounds otherwise.

    Raises:
      UserError: unreadable images, listed, or values that make no table.
    """
    check_crop(ril.crop)
    classes = len(dataset.class_names)
    if ril.label == "full" and ril.keep not in (0, classes):
        what = f"labels are to be 'full', and keep is {ril.keep} of {classes} classes"
        raise UserError(what, "Keep all of them (keep 0), or use 'mr' or 'ms'.")
    most = classes if ril.label == "full" else min(_PAPER_KEEP, classes)
    paths = sorted(example.path for example in dataset.train)
    facts = (images or SourceImages(dataset.root, memory=0)).facts(paths)
    return TableSpec(
        dataset=dataset.name,
        class_names=tuple(dataset.class_names),
        images=tuple(
            ImageRecord(path, (fact.height, fact.width), fact.hash)
            for path, fact in zip(paths, facts, strict=True)
        ),
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
        batch=batch_size,
    )


def ensure_table(
    path: str | Path,
    spec: TableSpec,
    root: Path,
    teacher: Clip,
    student: Clip | None,
    *,
    settings: BuildSettings = DEFAULT_SETTINGS,
    images: SourceImages | None = None,
) -> tuple[Table, BuildReport | None]:
    """Open the table at `path` if it fits; else build what is missing, and wait.

    A table that holds more images, regions or labels than `spec` fits. Features of a
    student that it lacks are added. If several processes build, each returns when the
    complete table is there. The report is None if it was already there.

    Args and errors: as `build_table`; and a table that does not fit, naming the field.
    """
    folder = store.open_folder(path)
    finished = ledger.find(folder, spec)
    if finished is not None:
        spec = finished
        if ledger.is_complete(folder, spec):
            return open_table(path, spec.student), None
    report = build_table(
        path, spec, root, teacher, student, settings=settings, images=images
    )
    ledger.wait(folder, spec)
    return open_table(path, spec.student), report


def build_table(
    path: str | Path,
    spec: TableSpec,
    root: Path,
    teacher: Clip,
    student: Clip | None,
    *,
    settings: BuildSettings = DEFAULT_SETTINGS,
    images: SourceImages | None = None,
) -> BuildReport:
    """Build a table, resume an interrupted build, or repair a table.

    After any kill the same call resumes at the first missing block, to a bit-identical
    table. Several builders of one table, on one machine or on a shared file system,
    share the blocks and never write the same one. The builder that finds all blocks
    there finishes the table.

    Args:
      path: a folder, or a URL.
      spec: see `plan_spec`.
      root: the folder of the images.
      teacher, student: the models of `spec`.
      settings: threads, and this process's share.
      images: of `root`. Those that they hold decoded are not decoded again, nor are
        those checked that are on record; None: all are checked, and decoded again
        where they do not fit into memory.

    Raises:
      UserError: the folder holds another table, or one begun with another spec, naming
        the field; an image is broken; the disk is full. Finished blocks stay.
    """
    folder = store.open_folder(path)
    _check_models(spec, teacher, student, folder.path)
    ledger.begin(folder, spec)
    source = images or SourceImages(root)
    site = Site(folder, spec, source, teacher, student, settings)
    start = time.perf_counter()
    index, count = settings.shard
    missing = ledger.missing_blocks(folder, spec, site.arrays)
    blocks = [block for block in missing if block % count == index]
    rows = sum(len(site.images(block)) for block in blocks)
    size = rows * spec.regions * region_bytes(spec)
    size += len(blocks) * spec.regions * len(site.arrays) * _SLOT_BYTES
    ledger.check_space(folder, size)
    if blocks:
        logging.info(
            "RIL table '%s': %d images × %d regions to build, %d labels kept, at most "
            "%.1f MB",
            *(folder.path, rows, spec.regions, spec.keep, size / 1e6),
        )
    built = make_blocks(site, blocks) if blocks else 0
    if not ledger.missing_blocks(folder, spec, site.arrays):
        records.finish(folder, spec, site.arrays)
    regions = len(spec.images) * spec.regions
    return BuildReport(time.perf_counter() - start, regions, built)


def _check_models(
    spec: TableSpec, teacher: Clip, student: Clip | None, path: str
) -> None:
    models = (("teacher", teacher, spec.teacher), ("student", student, spec.student))
    for kind, clip, wanted in models:
        given = clip.fingerprint if clip else ""
        if given != wanted:
            raise UserError(
                f"the {kind} given has fingerprint '{given[:12]}', and the table is to "
                f"be built with '{wanted[:12]}'",
                "Give the model that the table was planned with.",
            )
        if clip is not None and clip.dtype != spec.dtype:
            raise UserError(
                f"the {kind} is in {clip.dtype}, and RIL table '{path}' was made in "
                f"{spec.dtype}: its rows would not be of one kind",
                f"Set the dtype to {spec.dtype}, or choose another folder.",
            )

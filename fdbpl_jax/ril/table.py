"""A finished RIL table: what makes a folder one, what is in it, and whether it serves.

A folder is a table when its manifest is there, whole; the manifest is written last.
The features of a student are there when their own small manifest is, so that features
can be added without touching the table's.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorstore as ts
from jaxtyping import Int

from fdbpl_jax.errors import UserError
from fdbpl_jax.ril import store
from fdbpl_jax.ril.manifest import feature_name, read_feature_width, read_manifest
from fdbpl_jax.ril.spec import TableSpec, class_difference, image_difference

_BLOCK_REGIONS = 16_384  # a block's regions at most: what a kill may cost


@dataclasses.dataclass(frozen=True)
class Table:
    """An open table; `arrays` are those of `array_shapes`, by name."""

    path: str
    spec: TableSpec
    student: str  # fingerprint of the student whose features are read; empty: none
    feature_width: int  # D of that student
    arrays: Mapping[str, ts.TensorStore]
    folder: ts.KvStore

    def read(
        self,
        names: Sequence[str],
        rows: Int[np.ndarray, "*n"],
        slots: Int[np.ndarray, "*m"],
        paired: bool = False,
    ) -> dict[str, np.ndarray]:
        """Reads regions of several arrays at once.

        Args:
          names: of the arrays.
          rows: of the table, that is images.
          slots: of the regions.
          paired: take region (rows[i], slots[i]) for each i, with arrays of one shape
            (or shapes that broadcast); otherwise every slot of every row.

        Returns:
          By name, [*n m …] or, paired, [*n …].

        Raises:
          UserError: a shard is missing or damaged, naming it.
        """
        views = {}
        for name in names:
            array = self.arrays[name]
            views[name] = (array.vindex if paired else array.oindex)[rows, slots].read()
        found = {}
        for name, future in views.items():
            with store.store_errors(self.folder, name):
                found[name] = future.result()
        return found


def array_shapes(
    spec: TableSpec, student: str, feature_width: int
) -> dict[str, tuple[tuple[int, ...], str]]:
    """Name, shape and element type of every array; N images, M regions, K kept labels.

    box [N M 4]: top, left, height, width in pixels. flip [N M]: mirrored or not.
    label_index [N M K]: classes, most probable first. label_prob [N M K]: their
    probabilities. entropy [N M]: H of the teacher's full distribution.
    feature/<student> [N M D]: the student's L2-normalised feature.
    """
    regions = (len(spec.images), spec.regions)
    wide = len(spec.class_names) > 65_536
    shapes = {
        "box": ((*regions, 4), "uint16"),
        "flip": (regions, "bool"),
        "label_index": ((*regions, spec.keep), "uint32" if wide else "uint16"),
        "label_prob": ((*regions, spec.keep), "float16"),
        "entropy": (regions, "float32"),
    }
    if student:
        shapes[feature_name(student)] = ((*regions, feature_width), "float16")
    return shapes


def images_per_block(spec: TableSpec) -> int:
    """How many images are made, written and, after a kill, made again at once."""
    images = len(spec.images)
    return max(1, min(_BLOCK_REGIONS // spec.regions, 256, max(16, -(-images // 16))))


def region_bytes(spec: TableSpec) -> int:
    """Bytes a region takes on disk, before compression."""
    shapes = array_shapes(spec, spec.student, spec.feature_width)
    return sum(
        math.prod(shape[2:]) * np.dtype(dtype).itemsize
        for shape, dtype in shapes.values()
    )


def open_table(path: str | Path, student: str | None = None) -> Table:
    """Opens a finished table.

    Args:
      path: the folder, or a URL of one.
      student: fingerprint of the student whose features are wanted; by default the one
        the table was built with; empty: none.

    Raises:
      UserError: there is no finished table, it is damaged, or it has no features of
        this student.
    """
    folder = store.open_folder(path)
    spec = read_manifest(folder)
    if spec is None:
        raise UserError(
            f"there is no finished RIL table in '{folder.path}'",
            "Check the path, or build it: a build that was broken off goes on when it "
            "is run again.",
        )
    student = spec.student if student is None else student
    width = 0
    if student:
        found = read_feature_width(folder, student)
        if found is None:
            raise UserError(
                f"RIL table '{folder.path}' has no features of student {student[:12]}…",
                "Run `python -m fdbpl_jax.ril build` with this student and the table's "
                "settings: it adds them.",
            )
        width = found
    names = array_shapes(spec, student, width)
    arrays = {
        name: store.open_array(folder, name, shape, dtype)
        for name, (shape, dtype) in names.items()
    }
    return Table(str(path), spec, student, width, arrays, folder)


def check_table(table: Table, needed: TableSpec) -> None:
    """Refuses a table that a run must not read.

    A table may hold more images, regions or kept labels than are needed.

    Args:
      table: what there is.
      needed: what the run would build.

    Raises:
      UserError: naming the first field that differs, both values, and what to do.
    """
    check_rows(table.spec, needed, table.path)
    if needed.student and table.student != needed.student:
        raise UserError(
            f"RIL table '{table.path}' was opened with features of student "
            f"'{table.student[:12]}', and this run needs '{needed.student[:12]}'",
            "Add them with `python -m fdbpl_jax.ril build` and this student.",
        )


def check_rows(found: TableSpec, needed: TableSpec, path: str) -> None:
    """`check_table`, but for the student's features."""
    difference = _difference(found, needed)
    if difference is not None:
        raise UserError(
            f"RIL table '{path}' does not fit: it was built with {difference}",
            "Name another folder for the table to have a new one built, or use the "
            "settings and data it was built with.",
        )


def _difference(found: TableSpec, needed: TableSpec) -> str | None:
    if found.dataset != needed.dataset:
        return f"dataset '{found.dataset}', not '{needed.dataset}'"
    if found.class_names != needed.class_names:
        return class_difference(found.class_names, needed.class_names)
    for name in ("template", "teacher", "crop", "seed"):
        ours, theirs = getattr(found, name), getattr(needed, name)
        if ours != theirs:
            return f"{name} {ours!r}, not {theirs!r}"
    if not math.isclose(found.temperature, needed.temperature, rel_tol=1e-4):
        return f"temperature {found.temperature}, not {needed.temperature}"
    for name in ("regions", "keep"):
        ours, theirs = getattr(found, name), getattr(needed, name)
        if ours < theirs:
            return f"{name} {ours}, fewer than {theirs}"
    return image_difference(found, needed)

"""A finished RIL table: its arrays, how it is opened and read, and whether it fits.

A folder is a table when it has a complete manifest, which is written last. The features
of a student have a small manifest of their own, so that they can be added without
touching the table's.
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

_BLOCK_REGIONS = 16_384  # at most, of a block: what a kill may cost


@dataclasses.dataclass(frozen=True)
class Table:
    """An open table; `arrays` are those of `array_shapes`, by name."""

    path: str
    spec: TableSpec
    student: str  # fingerprint of the student whose features are read; empty: none
    feature_width: int  # D of that student
    arrays: Mapping[str, ts.TensorStore]
    folder: ts.KvStore

    @property
    def training_names(self) -> list[str]:
        """The arrays that training reads: labels, and features where there are any."""
        features = [feature_name(self.student)] if self.student else []
        return ["label_index", "label_prob", "entropy", *features]

    def read(
        self,
        names: Sequence[str],
        rows: Int[np.ndarray, "*n"],
        slots: Int[np.ndarray, "*m"],
        paired: bool = False,
    ) -> dict[str, np.ndarray]:
        """Read several arrays at once: by name [*n m …], every slot of every row.

        If `paired` [*n …], region (rows[i], slots[i]) for each i, with arrays of one
        shape or shapes that broadcast.

        Raises:
          UserError: a shard is missing or damaged, naming it.
        """
        futures = {}
        for name in names:
            array = self.arrays[name]
            index = array.vindex if paired else array.oindex
            futures[name] = index[rows, slots].read()
        values = {}
        for name, future in futures.items():
            with store.store_errors(self.folder, name):
                values[name] = future.result()
        return values


def array_shapes(
    spec: TableSpec, student: str, feature_width: int
) -> dict[str, tuple[tuple[int, ...], str]]:
    """List every array with its shape and element type.

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
    """Count the images that are built at once and, after a kill, built again."""
    images = len(spec.images)
    return max(1, min(_BLOCK_REGIONS // spec.regions, 256, max(16, -(-images // 16))))


def region_bytes(spec: TableSpec) -> int:
    """Count the bytes per region on disk, before compression."""
    arrays = array_shapes(spec, spec.student, spec.feature_width).values()
    return sum(math.prod(shape[2:]) * np.dtype(kind).itemsize for shape, kind in arrays)


def open_table(path: str | Path, student: str | None = None) -> Table:
    """Open a finished table, in a folder or at a URL.

    The features are those of `student`, a fingerprint; by default of the student that
    the table was built with; empty: none. Without them, without a manifest or with a
    damaged one it is a UserError.
    """
    folder = store.open_folder(path)
    spec = read_manifest(folder)
    if spec is None:
        raise UserError(
            f"there is no finished RIL table in '{folder.path}'",
            "Check the path, or build it: run again, an interrupted build resumes.",
        )
    student = spec.student if student is None else student
    width = read_feature_width(folder, student) if student else 0
    if width is None:
        raise UserError(
            f"RIL table '{folder.path}' has no features of student {student[:12]}…",
            "Run `python -m fdbpl_jax.ril build` with this student and the table's "
            "settings: it adds them.",
        )
    arrays = store.open_arrays(folder, array_shapes(spec, student, width))
    return Table(str(path), spec, student, width, arrays, folder)


def check_fits(table: TableSpec, needed: TableSpec, path: str) -> None:
    """Refuse a table whose rows a run cannot use, naming the first field that differs.

    A table may hold more images, regions or kept labels than are needed. The student's
    features are left out: they can be added.
    """
    difference = _difference(table, needed)
    if difference is not None:
        raise UserError(
            f"RIL table '{path}' does not fit: it was built with {difference}",
            "Name another folder for the table to have a new one built, or use the "
            "settings and data it was built with.",
        )


def _difference(table: TableSpec, needed: TableSpec) -> str | None:
    if table.class_names != needed.class_names and table.dataset == needed.dataset:
        return class_difference(table.class_names, needed.class_names)
    for name in ("dataset", "template", "teacher", "crop", "seed"):
        stored, wanted = getattr(table, name), getattr(needed, name)
        if stored != wanted:
            return f"{name} {stored!r}, not {wanted!r}"
    if not math.isclose(table.temperature, needed.temperature, rel_tol=1e-4):
        return f"temperature {table.temperature}, not {needed.temperature}"
    for name in ("regions", "keep"):
        stored, wanted = getattr(table, name), getattr(needed, name)
        if stored < wanted:
            return f"{name} {stored}, fewer than {wanted}"
    return image_difference(table, needed)

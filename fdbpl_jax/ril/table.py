"""A finished RIL table: its arrays, how it is opened and read, and whether it fits.

A folder is a table when it has a complete manifest, which is written last. The features
of a student have a small manifest of their own, so that they can be added without
touching the table's.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorstore as ts
from jaxtyping import Int

from fdbpl_jax.errors import UserError
from fdbpl_jax.ril import store
from fdbpl_jax.ril.digests import sample_slots, value_digest
from fdbpl_jax.ril.manifest import (
    Digests,
    feature_name,
    read_features,
    read_manifest,
)
from fdbpl_jax.ril.spec import TableSpec, class_difference, image_difference

_BLOCK_REGIONS = 16_384  # at most, of a block: what a kill may cost
_THREADS = 16


@dataclasses.dataclass(frozen=True)
class Table:
    """An open table; `arrays` are those of `array_shapes`, by name."""

    path: str
    spec: TableSpec
    student: str  # fingerprint of the student whose features are read; empty: none
    feature_width: int  # D of that student
    arrays: Mapping[str, ts.TensorStore]
    folder: ts.KvStore
    digests: Mapping[str, Digests]  # by array; of old tables none
    seconds: float  # that building it took, of all processes; 0: not known

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
    return block_images(len(spec.images), spec.regions)


def block_images(images: int, regions: int) -> int:
    """Count the images of a block, of a table of so many images and regions of each."""
    return max(1, min(_BLOCK_REGIONS // regions, 256, max(16, -(-images // 16))))


def region_bytes(spec: TableSpec) -> int:
    """Count the bytes per region on disk, before compression."""
    arrays = array_shapes(spec, spec.student, spec.feature_width).values()
    return sum(math.prod(shape[2:]) * np.dtype(kind).itemsize for shape, kind in arrays)


def open_unchecked(path: str | Path, student: str | None = None) -> Table:
    """Open a finished table as `open_table`, but without looking into its blocks."""
    folder = store.open_folder(path)
    stored = read_manifest(folder)
    if stored is None:
        raise UserError(
            f"there is no finished RIL table in '{folder.path}'",
            "Check the path, or build it: run again, an interrupted build resumes.",
        )
    spec, digests, seconds = stored.spec, dict(stored.digests), stored.seconds
    student = spec.student if student is None else student
    features = read_features(folder, student) if student else None
    if student and features is None:
        raise UserError(
            f"RIL table '{folder.path}' has no features of student {student[:12]}…",
            "Run `python -m fdbpl_jax.ril build` with this student and the table's "
            "settings: it adds them.",
        )
    width = 0
    if features:
        width, seconds = features.feature_width, seconds + features.seconds
        digests[feature_name(student)] = features.digests
    shapes = array_shapes(spec, student, width)
    arrays = store.open_arrays(folder, shapes)
    blocks = -(-len(spec.images) // store.block_of(arrays["box"]))
    # Where the arrays were cut another way, the digests are of other blocks.
    if any(len(digests[name]) not in (0, blocks) for name in digests):
        raise UserError(
            f"the arrays of RIL table '{folder.path}' are not those that were built",
            "Restore them, or delete the table's folder and build again.",
        )
    digests = {name: digests[name] for name in shapes if digests.get(name)}
    return Table(str(path), spec, student, width, arrays, folder, digests, seconds)


def open_table(path: str | Path, student: str | None = None) -> Table:
    """Open a finished table, in a folder or at a URL.

    The features are those of `student`, a fingerprint; by default of the student that
    the table was built with; empty: none. Of each block the first slots are compared
    with their digest, which reads about what an epoch reads.

    Raises:
      UserError: there is no manifest, a damaged one, or there are no such features; or
        a block is lost, damaged, or another's.
    """
    table = open_unchecked(path, student)
    images, size = len(table.spec.images), store.block_of(table.arrays["box"])
    names = list(table.digests)

    def check(block: int) -> None:
        rows = np.arange(block * size, min((block + 1) * size, images))
        slots = np.arange(sample_slots(len(rows), table.spec.regions))
        for name, value in table.read(names, rows, slots).items():
            known = table.digests[name][block][1]
            _refuse_other(table, name, block, known, value)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(check, range(-(-images // size)) if names else ()))
    return table


def check_block(table: Table, block: int, values: Mapping[str, np.ndarray]) -> None:
    """Compare all values [n M …] of a block, by array, with their digests, if any.

    Raises:
      UserError: the first that differs.
    """
    for name in values.keys() & table.digests.keys():
        known = table.digests[name][block][0]
        _refuse_other(table, name, block, known, values[name])


def _refuse_other(
    table: Table, name: str, block: int, known: str, values: np.ndarray
) -> None:
    if value_digest(name, block, values) != known:
        raise UserError(
            f"'{table.folder.path}{name}/c/{block}' is not what was written there: it "
            "was changed, or exchanged with another file",
            "Delete what is named here and build again with the same settings: only "
            "what is missing is built again.",
        )


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

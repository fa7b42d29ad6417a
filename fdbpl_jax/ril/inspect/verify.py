"""Check of every value in a table."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fdbpl_jax.errors import UserError
from fdbpl_jax.ril import manifest, store
from fdbpl_jax.ril.manifest import feature_name
from fdbpl_jax.ril.table import Table, check_block, open_unchecked

_SUM = 5e-3  # rounding error of float16 in a sum of labels or the norm of a feature


@dataclasses.dataclass(frozen=True)
class VerifyReport:
    """What was verified."""

    images: int
    regions: int
    arrays: int
    students: int


def verify_table(path: str | Path) -> VerifyReport:
    """Read every chunk of every array, and check that its values are possible.

    TensorStore compares the check sum of each chunk as it decodes it. Beyond that, a
    block must have the digest that the manifest has of it at its place, boxes must lie
    inside their images, labels be classes, different and most probable first,
    probabilities be some, entropies lie in [0, log C], features have norm 1. Tables of
    earlier versions have no digests. The first damage is a UserError, naming the file
    or the row.
    """
    table = open_unchecked(path, "")
    students = manifest.students(table.folder)
    others = [open_unchecked(path, student) for student in students]
    block = store.block_of(table.arrays["box"])
    images = len(table.spec.images)
    for first in range(0, images, block):
        rows = np.arange(first, min(first + block, images))
        _check_block(table, rows, list(table.arrays), _label_problems)
        for other in others:
            name = feature_name(other.student)
            _check_block(other, rows, [name], _feature_problems)
    regions, arrays = images * table.spec.regions, len(table.arrays) + len(students)
    return VerifyReport(images, regions, arrays, len(students))


Values = dict[str, np.ndarray]
Problems = Callable[[Table, np.ndarray, Values], Values]


def _check_block(
    table: Table, rows: np.ndarray, names: list[str], problems: Problems
) -> None:
    values = table.read(names, rows, np.arange(table.spec.regions))
    for what, bad in problems(table, rows, values).items():
        if bad.any():
            place, slot = np.argwhere(bad)[0]
            row = rows[place]
            raise UserError(
                f"RIL table '{table.path}': {what} in region {slot} of image {row} "
                f"('{table.spec.images[row].path}')",
                "The file was changed, or written by another program: delete the "
                "table's folder and build it again.",
            )
    block = int(rows[0]) // store.block_of(table.arrays["box"])
    check_block(table, block, values)


def _label_problems(table: Table, rows: np.ndarray, values: Values) -> Values:
    """Masks [n M] of where there is damage, by its kind."""
    classes = len(table.spec.class_names)
    size = np.array([table.spec.images[row].size for row in rows], np.int64)
    box = values["box"].astype(np.int64)
    index, prob = values["label_index"], values["label_prob"].astype(np.float32)
    entropy, bound = values["entropy"], math.log(classes) + 1e-4
    outside = (box[..., :2] + box[..., 2:] > size[:, None]).any(-1)
    order = np.sort(index, axis=-1)
    return {
        "a box outside the image": outside | (box[..., 2:] < 1).any(-1),
        f"a label that is none of the {classes} classes": (index >= classes).any(-1),
        "a label twice": (order[..., 1:] == order[..., :-1]).any(-1),
        "a probability outside [0, 1]": ~((prob >= 0) & (prob <= 1)).all(-1),
        "labels that are not the most probable first": (np.diff(prob) > 0).any(-1),
        "probabilities that sum to more than 1": prob.sum(-1) > 1 + _SUM,
        "an entropy outside [0, log C]": ~((entropy >= -1e-4) & (entropy <= bound)),
    }


def _feature_problems(table: Table, rows: np.ndarray, values: Values) -> Values:
    feature = values[feature_name(table.student)].astype(np.float32)
    norm = np.linalg.norm(feature, axis=-1)
    return {"a feature that has not norm 1": ~(np.abs(norm - 1) < _SUM)}

"""The specification of a RIL table: everything that its rows depend on."""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from fdbpl_jax.config import CropConfig
from fdbpl_jax.data.types import first_few
from fdbpl_jax.errors import UserError
from fdbpl_jax.ril.labels import check_keep
from fdbpl_jax.ril.regions import check_crop
from fdbpl_jax.sealed import digest

MAX_SIDE = 65535  # pixels: boxes are uint16


@dataclasses.dataclass(frozen=True, slots=True)
class ImageRecord:
    """One source image; its row in the table is its place in `TableSpec.images`."""

    path: str  # posix, relative to the data set's images
    size: tuple[int, int]  # height and width of the upright image, in pixels
    hash: str  # SHA-256 of the file, in hex


@dataclasses.dataclass(frozen=True)
class TableSpec:
    """Everything that the rows of a table depend on; UserError if it makes no table."""

    dataset: str
    class_names: tuple[str, ...]  # C classes, in the order of the teacher's labels
    images: tuple[ImageRecord, ...]  # N
    teacher: str  # fingerprint
    template: str  # the teacher's prompt, "{}" for the class
    temperature: float  # the teacher's exp(logit_scale), that is 1/τ
    student: str  # fingerprint; empty: no features
    feature_width: int  # D of the student; 0 without features
    crop: CropConfig
    seed: int  # of the boxes and flips
    regions: int  # M, per image
    keep: int  # K, labels per region
    dtype: str  # of the towers of teacher and student
    cut: str  # where regions were cut: "host", by Pillow, or "device"
    batch: int = 0  # regions computed at once, at most; 0: of an earlier version

    def __post_init__(self) -> None:
        if not self.images:
            what = f"no image of data set '{self.dataset}' is there to build from"
            raise UserError(what, "Check the split and the shots.")
        if self.regions < 1:
            what = f"{self.regions} regions per image make no table"
            raise UserError(what, "Ask for 1 or more.")
        check_crop(self.crop)
        check_keep(self.keep, len(self.class_names))
        times = Counter(image.path for image in self.images)
        twice = [path for path, n in times.items() if n > 1]
        if twice:
            raise UserError(f"images are listed twice: {first_few(twice)}")
        large = [image.path for image in self.images if max(image.size) > MAX_SIDE]
        if large:
            what = f"images are longer than {MAX_SIDE} pixels: {first_few(large)}"
            raise UserError(what, "Scale them down.")

    def fingerprint(self) -> str:
        """Hash what decides boxes and labels, but for rounding: SHA-256 in hex.

        The student is left out, whose features can be added, and so is how the machine
        computed: a table built on a GPU is the same table on a CPU.
        """
        values = self.to_json()
        # The temperature follows from the teacher.
        left_out = "student", "feature_width", "temperature", "dtype", "cut", "batch"
        for name in left_out:
            del values[name]
        return digest(values)

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON values; `from_json` is the way back."""
        values = dataclasses.asdict(self)
        values["images"] = [[i.path, *i.size, i.hash] for i in self.images]
        return json.loads(json.dumps(values))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TableSpec":
        """Convert back from `to_json`.

        Raises:
          msgspec.ValidationError, KeyError, TypeError, ValueError: other values.
        """
        images = [
            {"path": path, "size": size, "hash": content}
            for path, *size, content in values["images"]
        ]
        return msgspec.convert({**values, "images": images}, cls)


def first_difference(table: TableSpec, wanted: TableSpec) -> str | None:
    """Name the first field in which two specs differ, with both values, if any."""
    for field in dataclasses.fields(TableSpec):
        stored, asked = getattr(table, field.name), getattr(wanted, field.name)
        if stored == asked:
            continue
        if field.name == "class_names":
            return class_difference(stored, asked)
        if field.name == "images":
            return (
                image_difference(table, wanted)
                or image_difference(wanted, table)
                or "the same images in another order"
            )
        return f"{field.name} {stored!r}, not {asked!r}"
    return None


def class_difference(stored: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    """Say how two different lists of classes differ."""
    if sorted(stored) == sorted(wanted):
        place = next(i for i, name in enumerate(stored) if name != wanted[i])
        names = f"'{stored[place]}', not '{wanted[place]}'"
        return f"the classes in another order: class {place} is {names}"
    extra = first_few(sorted(set(stored) - set(wanted)), 3) or "none"
    absent = first_few(sorted(set(wanted) - set(stored)), 3) or "none"
    counts = f"other classes: {len(stored)}, not {len(wanted)}"
    return f"{counts}; only there: {extra}; only here: {absent}"


def image_difference(table: TableSpec, wanted: TableSpec) -> str | None:
    """Name images of `wanted` that are not in `table`, or have changed, if any."""
    there = {image.path: image for image in table.images}
    absent = [image.path for image in wanted.images if image.path not in there]
    if absent:
        return f"images: {len(absent)} are not in both: {first_few(absent, 3)}"
    changed = [image.path for image in wanted.images if there[image.path] != image]
    if changed:
        return f"images: {len(changed)} have changed since: {first_few(changed, 3)}"
    return None

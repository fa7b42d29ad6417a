"""What a RIL table is made from: everything that its rows depend on."""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from fdbpl_jax.config import CropConfig
from fdbpl_jax.data.types import first_few
from fdbpl_jax.errors import UserError
from fdbpl_jax.ril.labels import check_keep

MAX_SIDE = 65535  # pixels: boxes are uint16


@dataclasses.dataclass(frozen=True, slots=True)
class ImageRecord:
    """One source image; its row in the table is its place in `TableSpec.images`."""

    path: str  # posix, relative to the data set's images
    size: tuple[int, int]  # height and width of the upright image, in pixels
    hash: str  # SHA-256 of the file, in hex


@dataclasses.dataclass(frozen=True)
class TableSpec:
    """Everything that the rows of a table depend on.

    Raises:
      UserError: no image, an image twice or too large, no region, or K not in 1..C.
    """

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
    regions: int  # M an image
    keep: int  # K labels a region
    dtype: str  # in which teacher and student computed
    cut: str  # where regions were cut: "host", by Pillow, or "device"

    def __post_init__(self) -> None:
        if not self.images:
            raise UserError(
                f"there is no image of data set '{self.dataset}' to make a table of",
                "Check the split and the shots.",
            )
        if self.regions < 1:
            raise UserError(
                f"{self.regions} regions an image make no table", "Ask for 1 or more."
            )
        check_keep(self.keep, len(self.class_names))
        twice = [
            path for path, n in Counter(i.path for i in self.images).items() if n > 1
        ]
        if twice:
            raise UserError(f"images are listed twice: {first_few(twice)}")
        large = [image.path for image in self.images if max(image.size) > MAX_SIDE]
        if large:
            raise UserError(
                f"images are longer than {MAX_SIDE} pixels: {first_few(large)}",
                "Scale them down.",
            )

    def fingerprint(self) -> str:
        """SHA-256, in hex, of what decides boxes and labels, but for rounding.

        Not of the student, whose features can be added, nor of how the machine
        computed: a table built on a GPU is the same table on a CPU.
        """
        values = self.to_json()
        # The temperature follows from the teacher.
        for name in ("student", "feature_width", "temperature", "dtype", "cut"):
            del values[name]
        return digest(values)

    def to_json(self) -> dict[str, Any]:
        """The spec as plain JSON values; `from_json` is the way back."""
        values = dataclasses.asdict(self)
        values["images"] = [
            [image.path, *image.size, image.hash] for image in self.images
        ]
        return json.loads(json.dumps(values))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TableSpec":
        """The spec of `to_json`; TypeError, KeyError or ValueError for other values."""
        values = dict(values)
        values["class_names"] = tuple(values["class_names"])
        values["images"] = tuple(
            ImageRecord(path, (height, width), content)
            for path, height, width, content in values["images"]
        )
        crop = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values["crop"].items()
        }
        values["crop"] = CropConfig(**crop)
        return cls(**values)


def digest(values: Any) -> str:
    """SHA-256, in hex, of JSON values, whatever the order of their keys."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def first_difference(found: TableSpec, wanted: TableSpec) -> str | None:
    """The first field in which two specs differ, with both values; None if equal."""
    for field in dataclasses.fields(TableSpec):
        ours, theirs = getattr(found, field.name), getattr(wanted, field.name)
        if ours == theirs:
            continue
        if field.name == "class_names":
            return class_difference(found.class_names, wanted.class_names)
        if field.name == "images":
            return _image_difference(found, wanted)
        return f"{field.name} {ours!r}, not {theirs!r}"
    return None


def class_difference(found: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    """In words, how two different lists of classes differ."""
    if sorted(found) == sorted(wanted):
        place = next(
            i
            for i, pair in enumerate(zip(found, wanted, strict=True))
            if len(set(pair)) > 1
        )
        return (
            f"the classes in another order: class {place} is '{found[place]}', not "
            f"'{wanted[place]}'"
        )
    extra = first_few(sorted(set(found) - set(wanted)), 3) or "none"
    absent = first_few(sorted(set(wanted) - set(found)), 3) or "none"
    return (
        f"other classes: {len(found)}, not {len(wanted)}; only there: {extra}; only "
        f"here: {absent}"
    )


def _image_difference(found: TableSpec, wanted: TableSpec) -> str:
    return (
        image_difference(found, wanted)
        or image_difference(wanted, found)
        or "the same images in another order"
    )


def image_difference(found: TableSpec, wanted: TableSpec) -> str | None:
    """Which images of `wanted` are not in `found`, or have changed; None if none."""
    there = {image.path: image for image in found.images}
    absent = [image.path for image in wanted.images if image.path not in there]
    if absent:
        return f"images: {len(absent)} are not in both: {first_few(absent, 3)}"
    changed = [image.path for image in wanted.images if there[image.path] != image]
    if changed:
        return f"images: {len(changed)} have changed since: {first_few(changed, 3)}"
    return None

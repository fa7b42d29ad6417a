"""Data sets and their parts."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

UNLABELLED = -1  # the label of a training image whose class is not known


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """One image with its label."""

    path: str  # posix, relative to `Dataset.root`
    label: int  # index into `Dataset.class_names`, or `UNLABELLED`

    @property
    def is_labelled(self) -> bool:
        """Whether its class is known."""
        return self.label != UNLABELLED


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Classes and images, checked: labels are 0..C-1, every file exists.

    Only training images can be without labels, see `own.py`.
    """

    name: str
    root: Path  # the folder that image paths are relative to
    class_names: tuple[str, ...]  # as in the data; `prompt_name` makes them words
    template: str  # the data set's own hand-written prompt, "{}" for the class
    train: tuple[Example, ...]
    val: tuple[Example, ...]
    test: tuple[Example, ...]
    left_out: tuple[Example, ...] = ()  # of images that cannot be read


def prompt_name(class_name: str) -> str:
    """The class name in a prompt: underscores become spaces."""
    return class_name.replace("_", " ")


def written_texts(template: str, class_names: Sequence[str]) -> list[str]:
    """The hand-written prompt of each class: a template with "{}" for its name."""
    return [template.format(prompt_name(name)) for name in class_names]


def first_few(items: Sequence[object], count: int = 5) -> str:
    """The first `count` items, comma-separated, and how many more there are."""
    shown = ", ".join(str(item) for item in items[:count])
    more = len(items) - count
    return f"{shown} and {more} more" if more > 0 else shown

"""Data sets and their parts."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """One labelled image."""

    path: str  # posix, relative to `Dataset.root`
    label: int  # index into `Dataset.class_names`


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Classes and labelled images, checked: labels are 0..C-1, every file exists."""

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


def first_few(items: Sequence[object], count: int = 5) -> str:
    """The first `count` items, comma-separated, and how many more there are."""
    shown = ", ".join(str(item) for item in items[:count])
    more = len(items) - count
    return f"{shown} and {more} more" if more > 0 else shown

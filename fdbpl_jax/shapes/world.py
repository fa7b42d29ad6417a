"""The shapes world: looks, conditions, tasks and classes.

A look is a colour, a texture and a shape. A condition is how the picture was taken:
as a negative, in infrared, as both at once. It changes the colour: the negative of a
red circle looks cyan, its infrared photo blue. A task asks for the classes under one
condition, so the words around a class name decide which picture the name means.
"""

import collections
import dataclasses
import itertools

import numpy as np

from fdbpl_jax import errors

VERSION = 2  # of the rendered pixels; a change makes cached pictures stale
IMAGE_SIZE = 48  # pixels, both sides

# Red, green and blue channel high (1) or low (0): closed under negation and under
# swapping channels.
COLOURS = {
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "cyan": (0, 1, 1),
    "magenta": (1, 0, 1),
    "yellow": (1, 1, 0),
}
TEXTURES = (
    "level striped",
    "upright striped",
    "slanted striped",  # to either side
    "checked",
    "dotted",
    "solid",
)
SHAPES = ("circle", "square", "diamond", "cross")
# No look changes in a mirror, so that flipping a region keeps its label.
_HALF = 16  # classes of base, and of new
_CLASS_SEED = 1
# The most classes of a half that share a value; with these, no value is left out.
_MOST = {"colour": 3, "texture": 3, "shape": 4}


@dataclasses.dataclass(frozen=True)
class Look:
    """One kind of object: what a picture of it shows."""

    colour: str
    texture: str
    shape: str

    @property
    def name(self) -> str:
        """The words for it, as in a caption."""
        return f"{self.colour} {self.texture} {self.shape}"


@dataclasses.dataclass(frozen=True)
class Condition:
    """How a picture was taken; the default is an ordinary photo.

    Done twice, each change and any two of them undo themselves.
    """

    negative: bool = False  # every channel reversed
    infrared: bool = False  # the red and the blue channel swapped

    def look(self, look: Look) -> Look:
        """What a picture of `look` taken this way shows."""
        bits: tuple[int, ...] = COLOURS[look.colour]
        if self.infrared:
            bits = bits[::-1]
        if self.negative:
            bits = tuple(1 - bit for bit in bits)
        colour = next(name for name, value in COLOURS.items() if value == bits)
        return Look(colour, look.texture, look.shape)

    def pixels(self, image: np.ndarray) -> np.ndarray:
        """The same change on uint8 pixels `[H W 3]`."""
        if self.infrared:
            image = image[:, :, ::-1]
        if self.negative:
            image = 255 - image
        return np.ascontiguousarray(image)


@dataclasses.dataclass(frozen=True)
class Task:
    """A downstream task: the classes under one condition, and the words for it."""

    condition: Condition
    template: str


TASKS = {
    "shapes-plain": Task(Condition(), "a photo of a {}."),
    "shapes-negative": Task(Condition(negative=True), "a negative photo of a {}."),
    "shapes-both": Task(
        Condition(negative=True, infrared=True), "a negative infrared photo of a {}."
    ),
}


def task(name: str) -> Task:
    """The task called `name`; `UserError` naming the known ones if there is none."""
    if name not in TASKS:
        raise errors.unknown_name("shapes task", name, TASKS)
    return TASKS[name]


def looks() -> tuple[Look, ...]:
    """All 144 looks, in a fixed order."""
    return tuple(itertools.starmap(Look, itertools.product(COLOURS, TEXTURES, SHAPES)))


def classes() -> tuple[Look, ...]:
    """The 32 looks that the tasks ask for, in label order.

    Taken from a fixed shuffle of all. The first half (base) and the second (new) hold
    every colour, texture and shape, in other combinations.
    """
    rng = np.random.Generator(np.random.Philox(_CLASS_SEED))
    everything = looks()
    left = [everything[place] for place in rng.permutation(len(everything))]
    return (*_draw_half(left), *_draw_half(left))


def _draw_half(left: list[Look]) -> list[Look]:
    """Take a half's looks out of `left`, no value of an attribute too often."""
    half: list[Look] = []
    while len(half) < _HALF:
        half.append(next(look for look in left if _fits([*half, look])))
        left.remove(half[-1])
    return half


def _fits(half: list[Look]) -> bool:
    return all(
        max(collections.Counter(getattr(look, name) for look in half).values()) <= most
        for name, most in _MOST.items()
    )


def class_names() -> tuple[str, ...]:
    """The names of `classes()`, in label order."""
    return tuple(look.name for look in classes())

"""What there is to see in the shapes world, and what a condition does to it.

A look is a colour, a texture and a shape. A condition is how the picture was taken:
as a negative, in infrared, with the camera turned. It changes the look:
the negative of a red circle looks cyan. A task asks for the classes under one
condition, so the words around a class name decide which picture the name means.
"""

import collections
import dataclasses
import itertools

import numpy as np

from fdbpl_jax import errors

VERSION = 1  # of the rendered pixels; a change makes cached pictures stale
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
# No look changes in a mirror, so that flipping a region keeps its label. Only these
# change when the camera is turned.
_TURNED = {
    "level striped": "upright striped",
    "upright striped": "level striped",
}
_HALF = 16  # classes of base, and of new
_CLASS_SEED = 425  # with it, each half holds every colour, texture and shape
_MOST = {"colour": 4, "texture": 4, "shape": 5}  # classes of a half that share a value


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
    """How a picture was taken; the default is an ordinary photo."""

    negative: bool = False  # every channel reversed
    infrared: bool = False  # the red and the blue channel swapped
    turned: bool = False  # a quarter turn

    def look(self, look: Look) -> Look:
        """What a picture of `look` taken this way shows."""
        bits = COLOURS[look.colour]
        if self.infrared:
            bits = bits[::-1]
        if self.negative:
            bits = tuple(1 - bit for bit in bits)
        colour = next(name for name, value in COLOURS.items() if value == bits)
        texture = look.texture
        if self.turned:
            texture = _TURNED.get(texture, texture)
        return Look(colour, texture, look.shape)

    def pixels(self, image: np.ndarray) -> np.ndarray:
        """The same change on uint8 pixels `[H W 3]`."""
        if self.infrared:
            image = image[:, :, ::-1]
        if self.negative:
            image = 255 - image
        if self.turned:
            image = np.rot90(image)
        return np.ascontiguousarray(image)


@dataclasses.dataclass(frozen=True)
class Task:
    """A downstream task: the classes under one condition, and the words for it."""

    condition: Condition
    template: str


TASKS = {
    "shapes-plain": Task(Condition(), "a photo of a {}."),
    "shapes-negative": Task(Condition(negative=True), "a negative photo of a {}."),
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

    A fixed shuffle of pairs: a look and, by turns, its negative or its quarter turn, so
    that what a wrong condition shows is often another class. The first half (base) and
    the second (new) hold every colour, texture and shape, in other combinations.
    """
    left = list(np.random.Generator(np.random.Philox(_CLASS_SEED)).permutation(looks()))
    return (*_draw_half(left), *_draw_half(left))


def _draw_half(left: list[Look]) -> list[Look]:
    """Takes a half's looks out of `left`, no value of an attribute too often."""
    half: list[Look] = []
    while len(half) < _HALF:
        pairing = Condition(negative=True) if len(half) % 4 else Condition(turned=True)
        look = next(x for x in left if _fits([*half, x, pairing.look(x)], left))
        pair = [look, pairing.look(look)]
        half += pair
        left[:] = [x for x in left if x not in pair]
    return half


def _fits(half: list[Look], left: list[Look]) -> bool:
    if len(set(half)) < len(half) or half[-1] not in left:
        return False
    counts = {
        name: collections.Counter(getattr(x, name) for x in half) for name in _MOST
    }
    return all(max(counts[name].values()) <= most for name, most in _MOST.items())


def class_names() -> tuple[str, ...]:
    """The names of `classes()`, in label order."""
    return tuple(look.name for look in classes())

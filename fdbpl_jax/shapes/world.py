"""What there is to see in the shapes world, and what a condition does to it.

A look is a colour, a texture and a shape. A condition is how the picture was taken:
as a negative, in infrared, with the camera turned, in a mirror. It changes the look:
the negative of a red circle looks cyan. A task asks for the classes under one
condition, so the words around a class name decide which picture the name means.
"""

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
    "rising striped",
    "falling striped",
    "dotted",
    "solid",
)
SHAPES = ("circle", "square", "diamond", "cross")  # each its own quarter turn and mirror

_TURNED = {
    "level striped": "upright striped",
    "upright striped": "level striped",
    "rising striped": "falling striped",
    "falling striped": "rising striped",
}
_MIRRORED = {
    "rising striped": "falling striped",
    "falling striped": "rising striped",
}
_CLASS_COUNT = 32
_CLASS_SEED = 81  # every colour at least once, texture and shape twice, a half


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
    mirrored: bool = False  # left and right swapped

    def look(self, look: Look) -> Look:
        """What a picture of `look` taken this way shows."""
        bits = COLOURS[look.colour]
        if self.infrared:
            bits = bits[::-1]
        if self.negative:
            bits = tuple(1 - bit for bit in bits)
        colour = next(name for name, value in COLOURS.items() if value == bits)
        texture = look.texture
        if self.mirrored:
            texture = _MIRRORED.get(texture, texture)
        if self.turned:
            texture = _TURNED.get(texture, texture)
        return Look(colour, texture, look.shape)

    def pixels(self, image: np.ndarray) -> np.ndarray:
        """The same change on uint8 pixels `[H W 3]`."""
        if self.infrared:
            image = image[:, :, ::-1]
        if self.negative:
            image = 255 - image
        if self.mirrored:
            image = image[:, ::-1]
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
    "shapes-turned": Task(Condition(turned=True), "a turned photo of a {}."),
    "shapes-infrared": Task(Condition(infrared=True), "an infrared photo of a {}."),
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

    A fixed shuffle of pairs: a look and, by turns, its negative or its quarter turn.
    So a wrong condition is often caught by another class, and the first half (base)
    and the second (new) hold every colour, texture and shape in other combinations.
    """
    everything = looks()
    pairings = itertools.cycle((Condition(negative=True), Condition(turned=True)))
    pairing = next(pairings)
    chosen: list[Look] = []
    for i in np.random.Generator(np.random.Philox(_CLASS_SEED)).permutation(144):
        look = everything[i]
        partner = pairing.look(look)
        if partner == look or look in chosen or partner in chosen:
            continue
        chosen += [look, partner]
        pairing = next(pairings)
    return tuple(chosen[:_CLASS_COUNT])


def class_names() -> tuple[str, ...]:
    """The names of `classes()`, in label order."""
    return tuple(look.name for look in classes())

"""Draws the shapes world: one object in clutter, from a counter-based generator.

Every random part is symmetric under a condition (a negative of a background is as
likely a background as any), so that only the object tells what a picture shows.
"""

import hashlib

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from fdbpl_jax.shapes import world

# Directions across the stripes, in degrees.
_STRIPE_ANGLES = {
    "level striped": (90.0,),
    "upright striped": (0.0,),
    "slanted striped": (45.0, -45.0),
}
PIXEL_NOISE = 28.0  # standard deviation, in grey levels
COLOUR_CAST = 48.0  # the most that the light shifts a channel
_MARKS = (4, 10)  # distractor marks a picture, at least and at most
_SIZE = world.IMAGE_SIZE
_ROWS, _COLUMNS = np.mgrid[:_SIZE, :_SIZE].astype(np.float32)  # of every pixel


def generator(*key: object) -> np.random.Generator:
    """A generator that depends on nothing but `key`."""
    text = "/".join(map(str, (world.VERSION, *key)))
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16])))


def render(task: str, look: world.Look, index: int, split: str) -> Image.Image:
    """Picture `index` of class `look` in a split of a task; the same for ever.

    Raises: `UserError` for an unknown task.
    """
    condition = world.task(task).condition
    rng = generator(task, split, look.name, index)
    return Image.fromarray(condition.pixels(draw_scene(look, rng)))


def draw_scene(
    look: world.Look | None, rng: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    """An ordinary photo of `look`, or of nothing but clutter."""
    scene = paint_scene(look, rng)
    scene += rng.uniform(-COLOUR_CAST, COLOUR_CAST, 3).astype(np.float32)
    scene += PIXEL_NOISE * rng.standard_normal(scene.shape, dtype=np.float32)
    return np.clip(np.rint(scene), 0, 255).astype(np.uint8)


def paint_scene(
    look: world.Look | None, rng: np.random.Generator
) -> Float[np.ndarray, "H W 3"]:
    """What `draw_scene` photographs, before the light's cast and the camera's noise."""
    canvas = _background(rng)
    for _ in range(int(rng.integers(_MARKS[0], _MARKS[1] + 1))):
        _draw_mark(canvas, rng)
    if look is not None:
        _draw_object(canvas, look, rng)
    for _ in range(int(rng.integers(1, 5))):  # some lie in front
        _draw_mark(canvas, rng)
    return canvas


def _background(rng: np.random.Generator) -> Float[np.ndarray, "H W 3"]:
    """A gradient between two muted colours, with soft blotches."""
    ends = rng.uniform(70, 185, (2, 3)).astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (_COLUMNS * np.cos(angle) + _ROWS * np.sin(angle)) / _SIZE
    ramp = (ramp - ramp.min()) / (ramp.max() - ramp.min())
    coarse = rng.normal(0, 22, (6, 6, 3)).astype(np.float32)
    repeat = -(-_SIZE // 6)
    blotches = coarse.repeat(repeat, 0).repeat(repeat, 1)[:_SIZE, :_SIZE]
    return ends[0] + (ends[1] - ends[0]) * ramp[..., None] + blotches


def _draw_mark(canvas: np.ndarray, rng: np.random.Generator) -> None:
    """A small bright speck or dash of any colour: a distractor."""
    x, y = rng.uniform(0, _SIZE, 2)
    angle = rng.uniform(0, np.pi)
    length, width = rng.uniform(1.5, 6.0), rng.uniform(0.8, 2.2)
    along, across = _turned(x, y, angle)
    inside = (np.abs(along) < length) & (np.abs(across) < width)
    canvas[inside] = rng.uniform(20, 235, 3)


def _draw_object(
    canvas: np.ndarray, look: world.Look, rng: np.random.Generator
) -> None:
    radius = _SIZE * rng.uniform(0.34, 0.6) / 2
    x, y = rng.uniform(radius, _SIZE - radius, 2)
    u, v = _turned(x, y, np.deg2rad(rng.uniform(-10, 10)))
    cover = np.clip(0.5 - _distance(look.shape, u, v, radius), 0, 1)[..., None]
    marks = _texture(look.texture, u, v, rng)[..., None]
    painted = np.where(marks, *_two_tones(look.colour, rng))
    canvas += cover * (painted - canvas)


def _turned(x: float, y: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of all pixels from a centre (x, y), on axes turned by an angle."""
    dx, dy = _COLUMNS - x, _ROWS - y
    along = dx * np.cos(angle) + dy * np.sin(angle)
    return along, dy * np.cos(angle) - dx * np.sin(angle)


def _two_tones(colour: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The object's colour, and the light or dark tone between its stripes or dots."""
    bits = np.array(world.COLOURS[colour], np.float32)
    strength = rng.uniform(26, 85)
    main = 127.5 + (2 * bits - 1) * strength + rng.uniform(-18, 18, 3)
    tone = 127.5 + rng.choice((-1.0, 1.0)) * rng.uniform(40, 95)
    return main, 0.3 * main + 0.7 * tone


def _distance(
    shape: str, u: np.ndarray, v: np.ndarray, radius: float
) -> Float[np.ndarray, "H W"]:
    """Pixels from the outline, negative inside."""
    u, v = np.abs(u), np.abs(v)
    if shape == "circle":
        return np.hypot(u, v) - radius
    if shape == "square":
        return np.maximum(u, v) - 0.86 * radius
    if shape == "diamond":
        return (u + v) / np.sqrt(2) - 0.8 * radius
    arm, reach = 0.36 * radius, radius
    return np.minimum(np.maximum(u - arm, v - reach), np.maximum(v - arm, u - reach))


def _texture(
    texture: str, u: np.ndarray, v: np.ndarray, rng: np.random.Generator
) -> Bool[np.ndarray, "H W"]:
    """True where the object shows its own colour."""
    period = rng.uniform(6.0, 9.0)
    phase = rng.uniform(0, 2 * np.pi, 2)
    wave = 2 * np.pi / period
    if texture == "solid":
        return np.ones(u.shape, bool)
    first, second = np.cos(wave * u + phase[0]), np.cos(wave * v + phase[1])
    if texture == "dotted":
        return first + second < 0.7
    if texture == "checked":
        return first * second > 0
    angle = np.deg2rad(rng.choice(_STRIPE_ANGLES[texture]))
    return np.cos(wave * (u * np.cos(angle) + v * np.sin(angle)) + phase[0]) < 0.25

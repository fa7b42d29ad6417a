"""Zero-shot accuracy of the pair on the shapes tasks."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8

from fdbpl_jax.clip import image, model
from fdbpl_jax.shapes import render, world

WRONG_TEMPLATE = "a photo of a {}."  # right on shapes-plain alone
_HALF = len(world.class_names()) // 2


def draw_split(
    task: str, split: str, per_class: int, size: int
) -> tuple[UInt8[np.ndarray, "N S S 3"], Int[np.ndarray, " N"]]:
    """The first pictures of each class of a split, as a tower sees them, and labels."""
    looks = world.classes()
    settings = image.ImageSettings(size)
    pixels = [
        image.preprocess(render.render(task, look, index, split), settings)
        for look in looks
        for index in range(per_class)
    ]
    return np.stack(pixels), np.repeat(np.arange(len(looks)), per_class)


def accuracy(
    images: Float[np.ndarray, "N D"],
    labels: Int[np.ndarray, " N"],
    texts: Float[np.ndarray, "C D"],
) -> tuple[float, float]:
    """Per cent right on base and on new, each told apart only among its own half."""
    halves = []
    for start in (0, _HALF):
        half = (labels >= start) & (labels < start + _HALF)
        guess = (images[half] @ texts[start : start + _HALF].T).argmax(-1) + start
        halves.append(100.0 * float((guess == labels[half]).mean()))
    return halves[0], halves[1]


def zero_shot(
    clip: model.Clip, task: str, template: str, per_class: int = 24, split: str = "val"
) -> tuple[float, float]:
    """Base and new accuracy, in per cent, of hand-written prompts on a task."""
    pixels, labels = draw_split(task, split, per_class, clip.image.size)
    batches = np.array_split(pixels, max(1, len(pixels) // 256))
    images = np.concatenate([model.image_features(clip, batch) for batch in batches])
    names = [template.format(name) for name in world.class_names()]
    return accuracy(images, labels, np.asarray(model.text_features(clip, names)))


def table(
    clips: Mapping[str, model.Clip], tasks: Sequence[str] = tuple(world.TASKS)
) -> str:
    """The zero-shot table as text: model × task × template, base and new."""
    out = io.StringIO()
    print(f"{'task':17}{'model':9}{'template':29}{'base':>6}{'new':>6}", file=out)
    for task in tasks:
        for name, clip in clips.items():
            for template in dict.fromkeys((WRONG_TEMPLATE, world.task(task).template)):
                base, new = zero_shot(clip, task, template)
                row = f"{task:17}{name:9}{template:29}{base:6.1f}{new:6.1f}"
                print(row, file=out)
    return out.getvalue()

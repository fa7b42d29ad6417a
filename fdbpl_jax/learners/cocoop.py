"""CoCoOp: a context that a small network moves by the image (Zhou et al., 2022)."""

import functools
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float

from fdbpl_jax.clip.layout import PromptLayout
from fdbpl_jax.learners.coop import encode_context, init_context, prompted_classes
from fdbpl_jax.learners.learner import (
    Classes,
    Keys,
    Learner,
    Linear,
    Start,
    Student,
    init_linear,
)

_SHRINK = 16  # the network's hidden width is D / 16
_TOKENS = 8192  # encoded at once, all images together


class CocoopPrompt(NamedTuple):
    """A context, and the network from image features [D] to its shift [W]."""

    context: jax.Array  # [L W]
    down: Linear
    up: Linear


def _init(keys: Keys, start: Start) -> CocoopPrompt:
    first, second = jax.random.split(keys.other)
    joint, width = start.config.projection, start.config.text.tower.width
    hidden = max(1, joint // _SHRINK)
    return CocoopPrompt(
        init_context(keys, start),
        init_linear(first, joint, hidden),
        init_linear(second, hidden, width),
    )


def _text_features(
    student: Student,
    text: dict[str, Any],
    classes: Classes,
    prompt: CocoopPrompt,
    image: Float[Array, "B D"],
) -> Float[Array, "B C D"]:
    """Text features of all classes, for each image its own.

    An image's prefix is encoded once, so what each class costs is its suffix; images
    are taken a few at a time, so memory does not grow with the batch.
    """
    shift = prompt.up(jax.nn.relu(prompt.down(image)))
    contexts = prompt.context[None] + shift[:, None]
    encode = functools.partial(
        encode_context, student.config.text, text, classes.layout
    )
    together = max(1, _TOKENS // _tokens(classes.layout))
    if len(contexts) <= together:
        return jax.vmap(encode)(contexts)
    # Of the others nothing is kept for the backward pass.
    return jax.lax.map(jax.checkpoint(encode), contexts, batch_size=together)


def _tokens(layout: PromptLayout) -> int:
    # Of one chunk: the others of a layout come after each other anyway.
    suffixes = sum(bucket.ids[0].size for bucket in layout.buckets)
    return len(layout.prefix_ids) + suffixes


COCOOP = Learner(
    name="cocoop",
    prompt=CocoopPrompt,
    settings=frozenset({"context_length"}),
    init=_init,
    classes=prompted_classes,
    text_features=_text_features,
    text_by_image=True,
)

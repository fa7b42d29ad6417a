"""From prompts and a batch to the loss: encode, then the method's objective."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.clip.layout import NameList, PromptLayout, choose
from fdbpl_jax.learners import coop
from fdbpl_jax.learners.learner import (
    Classes,
    frozen_features,
    image_features,
    text_features,
)
from fdbpl_jax.losses import regularizers as terms
from fdbpl_jax.losses.batch import Batch, Seen
from fdbpl_jax.losses.cross_entropy import cross_entropy
from fdbpl_jax.losses.fdbpl import fdbpl
from fdbpl_jax.losses.fdbpl_release import fdbpl_release
from fdbpl_jax.losses.kdpl import kdpl
from fdbpl_jax.training.state import Frozen, StepSetup

Terms = dict[str, Float[Array, ""]]


class Losses(NamedTuple):
    """What a batch comes to.

    loss: to be made small. general: ProGrad's distance to the zero-shot model, whose
    gradient the loss's must not oppose; 0 for others.
    """

    loss: Float[Array, ""]
    general: Float[Array, ""]


def losses(
    setup: StepSetup,
    prompts: dict[str, Any],
    running: dict[str, Any],
    frozen: Frozen,
    batch: Batch,
) -> tuple[Losses, tuple[Terms, dict[str, Any]]]:
    """The losses of a batch; beside them terms by name, and `running` after it."""
    image, running = _image(setup, prompts, running, frozen, batch)
    text = _texts(setup, prompts, frozen, batch, image)
    seen = Seen(image, text["positive"], batch)
    loss, found = _loss(setup, seen, text.get("negative"), frozen)
    general = jnp.zeros(())
    if setup.method.term == "kgcoop":
        found["kgcoop"] = terms.kgcoop(seen.text, frozen.written)
        loss = loss + setup.terms.kgcoop * found["kgcoop"]
    elif setup.method.term == "promptsrc":
        plain = _frozen_image(setup, frozen, batch)
        added = terms.promptsrc(seen, plain, frozen.written, frozen.scale)
        weights = {"text": setup.terms.promptsrc_text, "logits": 1.0}
        weights["image"] = setup.terms.promptsrc_image
        loss = loss + sum(weights[name] * term for name, term in added.items())
        found |= {f"promptsrc_{name}": term for name, term in added.items()}
    elif setup.method.term == "prograd":
        plain = _frozen_image(setup, frozen, batch)
        general = terms.zero_shot_distance(seen, plain, frozen.written, frozen.scale)
        found["zero_shot_distance"] = general
    return Losses(loss, general), (found, running)


def _loss(
    setup: StepSetup, seen: Seen, negative: Array | None, frozen: Frozen
) -> tuple[Float[Array, ""], Terms]:
    name, scale = setup.method.loss, frozen.scale
    if name == "cross_entropy":
        return cross_entropy(seen, scale)
    if name == "kdpl":
        return kdpl(seen, scale)
    if name == "fdbpl":
        return fdbpl(seen, negative, scale, frozen.hyper.weights)
    if name == "fdbpl_release":
        return fdbpl_release(seen, negative, scale)
    if name == "promptkd":
        loss, found = terms.promptkd(seen, scale)
        return setup.terms.promptkd * loss, found
    raise ValueError(f"'{name}' is no loss")


def _image(
    setup: StepSetup, prompts: dict, running: dict, frozen: Frozen, batch: Batch
) -> tuple[Float[Array, "B D"], dict[str, Any]]:
    """Under the prompts where the image tower is prompted, else as it is stored."""
    if not setup.method.prompts_images:
        return batch.feature, running
    return image_features(
        setup.method.learner,
        setup.student,
        frozen.towers["vision"],
        prompts["positive"],
        running,
        batch.pixels,
        training=True,
    )


def _frozen_image(
    setup: StepSetup, frozen: Frozen, batch: Batch
) -> Float[Array, "B D"]:
    """Without prompts: as a table or the frozen tower has it."""
    if batch.feature is not None:
        return batch.feature
    return frozen_features(setup.student, frozen.towers["vision"], batch.pixels)


def _texts(
    setup: StepSetup, prompts: dict, frozen: Frozen, batch: Batch, image: Array
) -> dict[str, Array]:
    """Features of the classes under each prompt."""
    tower, text = setup.student.config.text, frozen.towers.get("text")
    layout, negative = (_layout(x, batch) for x in (frozen.layout, frozen.negative))
    if "negative" in prompts and negative is None:  # both in one pass
        encode = functools.partial(coop.text_features, tower, text, layout)
        contexts = [prompt["context"] for prompt in prompts.values()]
        return dict(zip(prompts, jax.vmap(encode)(jnp.stack(contexts)), strict=True))
    fixed = frozen.classes
    if fixed is not None and batch.chosen is not None:
        fixed = fixed[batch.chosen]
    classes, learner = Classes(layout, fixed), setup.method.learner
    positive = prompts["positive"]
    found = {
        "positive": text_features(
            learner, setup.student, text, classes, positive, image
        )
    }
    if "negative" in prompts:
        context = prompts["negative"]["context"]
        found["negative"] = coop.text_features(tower, text, negative, context)
    return found


def _layout(
    layout: PromptLayout | NameList | None, batch: Batch
) -> PromptLayout | None:
    return choose(layout, batch.chosen) if isinstance(layout, NameList) else layout

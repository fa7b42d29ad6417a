"""From prompts and a batch to the loss: encode, then the method's loss."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.clip.layout import NameList, PromptLayout, choose
from fdbpl_jax.learners.coop import encode_context
from fdbpl_jax.learners.learner import Classes, Prompts, Trained, frozen_features
from fdbpl_jax.losses.loss import Batch, LossWeights, ModelOutputs, Scalar, Terms
from fdbpl_jax.losses.regularizers import ZeroShot
from fdbpl_jax.training.state import Frozen, StepSetup


class Losses(NamedTuple):
    """Losses of a batch."""

    loss: Scalar  # the value that is minimised
    general: Scalar  # ProGrad's distance to the zero-shot model; 0 for others


def losses(
    setup: StepSetup,
    prompts: Prompts,
    running: Any,
    weights: LossWeights,
    frozen: Frozen,
    batch: Batch,
) -> tuple[Losses, tuple[Terms, Any]]:
    """The losses of a batch; beside them terms by name, and `running` after it."""
    image, running = _image(setup, Trained(prompts.positive, running), frozen, batch)
    text, negative = _texts(setup, prompts, frozen, batch, image)
    outputs = ModelOutputs(image, text, negative, frozen.scale, batch)
    loss, terms = setup.method.loss.compute(outputs, weights)
    general = jnp.zeros(())
    if regularizer := setup.method.regularizer:
        zero_shot = ZeroShot(_frozen_image(setup, frozen, batch), frozen.written)
        penalty = regularizer.penalty(outputs, zero_shot, weights)
        loss, general = loss + penalty.loss, penalty.general
        terms = terms | penalty.terms
    return Losses(loss, general), (terms, running)


def _image(
    setup: StepSetup, trained: Trained, frozen: Frozen, batch: Batch
) -> tuple[Float[Array, "B D"], Any]:
    """Under the prompts where the image tower is prompted, else as it is stored."""
    encode = setup.method.learner.image_features
    if encode is None:
        return batch.feature, trained.running
    vision = frozen.towers["vision"]
    return encode(setup.student, vision, trained, batch.pixels, training=True)


def _frozen_image(
    setup: StepSetup, frozen: Frozen, batch: Batch
) -> Float[Array, "B D"]:
    """Without prompts: from a table or the frozen tower."""
    if batch.feature is not None:
        return batch.feature
    return frozen_features(setup.student, frozen.towers["vision"], batch.pixels)


def _texts(
    setup: StepSetup, prompts: Prompts, frozen: Frozen, batch: Batch, image: Array
) -> tuple[Array, Array | None]:
    """Features of the classes under the positive and the negative prompt."""
    config, text = setup.student.config.text, frozen.towers["text"]
    layout, negative = (_layout(x, batch) for x in (frozen.layout, frozen.negative))
    if setup.reads_negative and negative is None:  # both in one pass
        encode = functools.partial(encode_context, config, text, layout)
        contexts = jnp.stack([prompt.context for prompt in prompts])
        positive_text, negative_text = jax.vmap(encode)(contexts)
        return positive_text, negative_text
    fixed = frozen.classes
    if fixed is not None and batch.chosen is not None:
        fixed = fixed[batch.chosen]
    positive_text = setup.method.learner.text_features(
        setup.student, text, Classes(layout, fixed), prompts.positive, image
    )
    if prompts.negative is None or not setup.reads_negative:
        return positive_text, None
    context = prompts.negative.context
    return positive_text, encode_context(config, text, negative, context)


def _layout(layout: PromptLayout | NameList | None, batch: Batch) -> Any:
    return choose(layout, batch.chosen) if isinstance(layout, NameList) else layout

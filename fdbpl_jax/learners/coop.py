"""CoOp: learnable context tokens around the class name (Zhou et al., 2022).

The text of a class is SOS, context and name in one of three orders, ".", EOS. What is
learned is the context; where it goes is a `PromptLayout`, so the same context serves
any class list.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fdbpl_jax.clip.config import TextConfig
from fdbpl_jax.clip.layout import PromptLayout, make_layout
from fdbpl_jax.clip.model import unit
from fdbpl_jax.clip.text import embed_tokens, encode_prompts
from fdbpl_jax.clip.tokenizer import Tokenizer, word_ids
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.data.types import prompt_name
from fdbpl_jax.errors import UserError
from fdbpl_jax.learners.learner import (
    RANDOM_STD,
    Classes,
    Keys,
    Learner,
    Models,
    Prompt,
    Start,
    Student,
)


class ContextPrompt(NamedTuple):
    """What CoOp learns."""

    context: jax.Array  # [L W]; [C L W] if class-specific


def init_context(keys: Keys, start: Start) -> Float[Array, "*C L W"]:
    """Initial context: the embeddings of words, or random without words.

    Of more words than L tokens the first L are learned and the others stay as they are
    (MaPLe learns "a photo" of "a photo of a"); fewer are preceded by zeros (ProGrad).

    Returns [L W], or [C L W] if class-specific, float32.
    """
    params, prompt = start.params["text"], start.prompt
    length = prompt.context_length
    width = params["token_embedding"].shape[-1]
    if prompt.init:
        ids = word_ids(start.tokenizer, prompt.init)[:length]
        words = embed_tokens(params, jnp.asarray(ids, jnp.int32)).astype(jnp.float32)
        context = jnp.zeros((length, width)).at[length - len(ids) :].set(words)
        if prompt.class_specific:
            context = jnp.tile(context[None], (start.classes, 1, 1))
        return context
    specific = (start.classes,) if prompt.class_specific else ()
    shape = (*specific, length, width)
    return RANDOM_STD * jax.random.normal(keys.context, shape, jnp.float32)


def negative_prompt(tokenizer: Tokenizer, prompt: PromptConfig) -> PromptConfig:
    """Settings of the negative prompt beside `prompt`: a context, all words learned.

    Raises:
      UserError: class-specific contexts of two lengths.
    """
    length = len(word_ids(tokenizer, prompt.negative_init)) or prompt.context_length
    if prompt.class_specific and length != prompt.context_length:
        raise UserError(
            f"prompt words '{prompt.negative_init}' are {length} tokens, "
            f"and prompt.context_length is {prompt.context_length}",
            "With class-specific contexts both prompts are of one length.",
        )
    return PromptConfig(
        context_length=length,
        init=prompt.negative_init,
        class_specific=prompt.class_specific,
        position=prompt.position,
    )


def class_layout(
    tokenizer: Tokenizer,
    text: TextConfig,
    class_names: Sequence[str],
    prompt: PromptConfig,
) -> PromptLayout:
    """Where the context and each class's own words stand.

    Raises:
      UserError: a class name that, with its context, is longer than the tower reads, or
        words that stay as they are with a class name that is not at the end.
    """
    fixed = word_ids(tokenizer, prompt.init)[prompt.context_length :]
    if fixed and prompt.position != "end":
        raise UserError(
            f"prompt words '{prompt.init}' are more than the {prompt.context_length} "
            f"tokens of prompt.context_length, with the name at '{prompt.position}'",
            "Give fewer words, a longer context, or put the name at the 'end'.",
        )
    rows = [class_row(tokenizer, text, name, prompt, fixed) for name in class_names]
    longest = max(len(ids) for ids, _ in rows)
    ids = np.full((len(rows), longest), rows[0][0][-1], np.int32)
    slot = np.full((len(rows), longest), -1, np.int32)
    for row, (row_ids, row_slot) in enumerate(rows):
        ids[row, : len(row_ids)] = row_ids
        slot[row, : len(row_slot)] = row_slot
    eos = np.array([len(row_ids) - 1 for row_ids, _ in rows], np.int32)
    return make_layout(ids, slot, eos, prompt.class_specific)


def class_row(
    tokenizer: Tokenizer,
    text: TextConfig,
    name: str,
    prompt: PromptConfig,
    fixed: Sequence[int] = (),
) -> tuple[list[int], list[int]]:
    """Token ids and context slots (-1: none) of one class, SOS to EOS.

    `fixed` are ids that stand between the context and the name.

    Raises:
      UserError: it is longer than the tower reads.
    """
    length = prompt.context_length
    before = {"end": length, "middle": length // 2, "front": 0}[prompt.position]
    after = length - before
    # As in CoOp, name and "." are tokenised together (") and "." are one token), and
    # before the rest of the context stand as many of the tokens as the name alone has.
    together = word_ids(tokenizer, f"{name}.")
    cut = len(word_ids(tokenizer, name)) if after else len(together)
    first, tail = [*fixed, *together[:cut]], together[cut:]
    ids = [tokenizer.bos_token_id, *[0] * before, *first, *[0] * after, *tail]
    slot = [-1, *range(before), *[-1] * len(first), *range(before, length)]
    ids, slot = [*ids, tokenizer.eos_token_id], [*slot, *[-1] * (len(tail) + 1)]
    if len(ids) > text.context_length:
        raise UserError(
            f"class name '{name}' with {length} context tokens is {len(ids)} tokens; "
            f"the text tower reads {text.context_length}",
            "Shorten the name or set a smaller --config.prompt.context_length.",
        )
    return ids, slot


def prompted_classes(
    models: Models, prompt: PromptConfig, template: str, names: Sequence[str]
) -> Classes:
    """Where the learned context stands in the prompt of each class.

    Raises:
      UserError: as `class_layout`.
    """
    words, student = [prompt_name(name) for name in names], models.student
    layout = class_layout(student.tokenizer, student.config.text, words, prompt)
    return Classes(layout, None)


def encode_context(
    text: TextConfig,
    params: dict[str, Any],
    layout: PromptLayout,
    context: Float[Array, "*C L W"],
    deep: Float[Array, "J L W"] | None = None,
) -> Float[Array, "C D"]:
    """L2-normalised text feature of each class under the prompt.

    The context is of all classes, or of each; `deep` stands in its place in the layers
    after the first, if given.
    """
    return unit(encode_prompts(text, params, layout, context, deep))


def _init(keys: Keys, start: Start) -> ContextPrompt:
    return ContextPrompt(init_context(keys, start))


def context_features(
    student: Student,
    text: dict[str, Any],
    classes: Classes,
    prompt: Prompt,
    image: Float[Array, "B D"] | None,
) -> Float[Array, "C D"]:
    """The class features under a prompt with a `context` and, if any, a `deep` one.

    Of deep contexts for more layers than the tower has, the first are used.
    """
    deep = getattr(prompt, "deep", None)
    tower, layout = student.config.text, classes.layout
    if deep is not None:
        deep = deep[: tower.tower.layers - 1]
    return encode_context(tower, text, layout, prompt.context, deep)


COOP = Learner(
    name="coop",
    prompt=ContextPrompt,
    settings=frozenset({"context_length", "class_specific"}),
    init=_init,
    classes=prompted_classes,
    text_features=context_features,
)

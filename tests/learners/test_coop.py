import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.clip.text import embed_tokens, encode_text
from fdbpl_jax.clip.tokenizer import tokenize
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.errors import UserError
from fdbpl_jax.learners.coop import (
    class_layout,
    class_row,
    encode_context,
    init_context,
    negative_prompt,
)
from fdbpl_jax.learners.learner import RANDOM_STD, Keys, Start

NAMES = ["red dotted circle", "blue cross", "solid green solid square"]
KEYS = Keys(*jax.random.split(jax.random.key(0), 4))


def start(clip, prompt, classes=3):
    begin = Start(clip.config, clip.params, clip.tokenizer, prompt, classes, 9)
    return init_context(KEYS, begin)


def features(clip, prompt, context):
    text = clip.config.text
    layout = class_layout(clip.tokenizer, text, NAMES, prompt)
    return encode_context(text, clip.params["text"], layout, context)


@pytest.mark.parametrize(
    ("position", "template"),
    [
        ("end", "a photo of a {}."),
        ("middle", "a photo {} of a."),
        ("front", "{} a photo of a."),
    ],
)
@pytest.mark.parametrize("class_specific", [False, True])
def test_untrained_prompt_reads_as_its_words(clip, position, template, class_specific):
    prompt = PromptConfig(position=position, class_specific=class_specific)
    ids = tokenize(
        clip.tokenizer, [template.format(n) for n in NAMES], clip.config.text
    )
    expected = encode_text(clip.config.text, clip.params["text"], jnp.asarray(ids))
    expected /= jnp.linalg.norm(expected, axis=-1, keepdims=True)
    actual = features(clip, prompt, start(clip, prompt))
    np.testing.assert_allclose(actual, expected, atol=2e-5)


class OneTokenForThree:
    """A tokenizer to which ")." is one token, as it is to CLIP's."""

    bos_token_id, eos_token_id, pad_token_id = 1, 2, 0

    def __call__(self, text, *, add_special_tokens=True):
        pieces = re.findall(r"\w+|[^\w\s]+", text)
        return {"input_ids": [3 + self.words.index(piece) for piece in pieces]}

    words = ("kite", "(", "bird", ")", ").", ".")

    def get_vocab(self):
        return dict.fromkeys(self.words, 0)


@pytest.mark.parametrize(
    ("position", "slots", "words"),
    [
        ("end", [1, 2], [3, 4, 5, 6]),
        ("middle", [1, 6], [2, 3, 4, 5]),
        ("front", [5, 6], [1, 2, 3, 4]),
    ],
)
def test_a_name_and_its_full_stop_are_tokenised_together(clip, position, slots, words):
    """As in CoOp: in front of the context stand as many tokens as the name has."""
    prompt = PromptConfig(context_length=2, init="", position=position)
    ids, slot = class_row(OneTokenForThree(), clip.config.text, "kite (bird)", prompt)
    assert [at for at, place in enumerate(slot) if place >= 0] == slots
    assert [ids[at] for at in words] == [3, 4, 5, 7]  # kite ( bird ).
    assert (ids[0], ids[-1], len(ids)) == (1, 2, 8)
    ids, slot = class_row(OneTokenForThree(), clip.config.text, "kite", prompt)
    after = ids[ids.index(3) + 1 :]
    assert [x for x in after if x] == [8, 2]  # "." and EOS


def test_word_start_is_the_words_embeddings(clip):
    prompt = PromptConfig(init="a photo of no")
    ids = clip.tokenizer("a photo of no")["input_ids"][1:-1]
    expected = embed_tokens(clip.params["text"], jnp.asarray(ids))
    np.testing.assert_array_equal(start(clip, prompt), expected)


def test_random_start_has_the_asked_shape_and_spread(clip):
    width = clip.config.text.tower.width
    prompt = PromptConfig(init="", context_length=16)
    context = start(clip, prompt)
    assert context.shape == (16, width)
    assert float(jnp.std(context)) == pytest.approx(RANDOM_STD, rel=0.1)
    prompt = PromptConfig(init="", context_length=2, class_specific=True)
    assert start(clip, prompt, 5).shape == (5, 2, width)


@pytest.mark.parametrize("length", [0, 2])
def test_words_beyond_the_context_stay_as_they_are(clip, length):
    """As MaPLe's "of a" does; with no context at all the text is fixed."""
    prompt = PromptConfig(context_length=length)
    actual = features(clip, prompt, start(clip, prompt))
    np.testing.assert_allclose(
        actual, features(clip, PromptConfig(), start(clip, PromptConfig())), atol=2e-5
    )


def test_fewer_words_are_preceded_by_zeros(clip):
    context = start(clip, PromptConfig(context_length=6))
    np.testing.assert_array_equal(context[:2], 0)
    np.testing.assert_array_equal(context[2:], start(clip, PromptConfig()))


def test_words_beyond_the_context_need_the_name_at_the_end(clip):
    prompt = PromptConfig(context_length=2, position="front")
    with pytest.raises(UserError, match=r"'a photo of a'.*more than the 2.*'front'"):
        features(clip, prompt, start(clip, prompt))


def test_the_negative_prompt_learns_all_of_its_words(clip):
    beside = PromptConfig(context_length=16, init="", text_depth=9, image_tokens=4)
    prompt = negative_prompt(clip.tokenizer, beside)
    assert prompt == PromptConfig(init="a photo of no")


def test_a_class_name_that_does_not_fit_is_refused(clip):
    with pytest.raises(
        UserError, match=r"red red red.*tokens; the text tower reads 77"
    ):
        class_layout(
            clip.tokenizer,
            clip.config.text,
            ["blue", "red " * 80],
            PromptConfig(),
        )

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.clip.model import load_clip
from fdbpl_jax.clip.text import embed_tokens, encode_text
from fdbpl_jax.clip.tokenizer import tokenize
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.errors import UserError
from fdbpl_jax.prompts.coop import (
    RANDOM_STD,
    class_layout,
    init_context,
    text_features,
)
from fdbpl_jax.shapes.pair import embedded

NAMES = ["red dotted circle", "blue cross", "solid green solid square"]
KEY = jax.random.key(0)


@pytest.fixture(scope="module", name="clip")
def _clip():
    return load_clip(str(embedded("student")))


def start(clip, prompt, classes=3):
    words = prompt.init
    return init_context(
        KEY, clip.params["text"], clip.tokenizer, prompt, words, classes
    )


def features(clip, prompt, context):
    text = clip.config.text
    layout = class_layout(clip.tokenizer, text, NAMES, prompt)
    return text_features(text, clip.params["text"], layout, context)


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


def test_word_start_is_the_words_embeddings(clip):
    prompt = PromptConfig(init="a photo of no")
    ids = clip.tokenizer("a photo of no")["input_ids"][1:-1]
    expected = embed_tokens(clip.params["text"], jnp.asarray(ids))
    np.testing.assert_array_equal(start(clip, prompt)["context"], expected)


def test_random_start_has_the_asked_shape_and_spread(clip):
    width = clip.config.text.tower.width
    prompt = PromptConfig(init="", context_length=16)
    context = start(clip, prompt)["context"]
    assert context.shape == (16, width)
    assert float(jnp.std(context)) == pytest.approx(RANDOM_STD, rel=0.1)
    prompt = PromptConfig(init="", context_length=2, class_specific=True)
    assert start(clip, prompt, 5)["context"].shape == (5, 2, width)


def test_words_of_another_length_are_refused(clip):
    prompt = PromptConfig(context_length=5)
    with pytest.raises(UserError, match=r"4 tokens.*context_length=4"):
        start(clip, prompt)


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

import dataclasses

import jax.numpy as jnp
import numpy as np
from support import methods_case as case
from support.starts import check_depths, check_single_layer, start

from fdbpl_jax.config import PromptConfig
from fdbpl_jax.learners.maple import MAPLE, image_tokens
from fdbpl_jax.methods.published import PROMPT


def test_prompts_are_no_deeper_than_the_tower(clip):
    """Published depths are of towers with 12 layers; these have 2 and 3."""
    check_depths(clip, MAPLE, PROMPT["maple"])


def test_a_single_layer_has_no_deep_prompts(clip):
    """An array without values could not be saved."""
    check_single_layer(clip, MAPLE, PROMPT["maple"])


def of_three_image_layers(clip):
    """A text tower of 4 layers, an image tower of 3."""
    params = {"text": {"token_embedding": jnp.zeros((500, 16))}}
    return dataclasses.replace(clip, config=case.CONFIG, params=params)


def test_maple_goes_as_deep_as_the_shallower_tower(clip):
    made = start(of_three_image_layers(clip), MAPLE, PromptConfig(text_depth=9))
    assert made.deep.shape[0] == 3 - 1
    assert image_tokens(made).shape[0] == 3


def test_deeper_couplings_start_alike_and_apart_from_the_first(clip):
    prompt = dataclasses.replace(PROMPT["maple"], text_depth=9)
    kernel = start(of_three_image_layers(clip), MAPLE, prompt).couple.kernel
    np.testing.assert_array_equal(kernel[1], kernel[2])
    assert np.abs(kernel[0] - kernel[1]).max() > 0.01

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from support import methods_case as case
from support.starts import check_single_layer, start

from fdbpl_jax.config import PromptConfig
from fdbpl_jax.learners.learner import Models, Student, Trained
from fdbpl_jax.learners.maple import MAPLE, image_tokens
from fdbpl_jax.methods.published import PROMPT


def test_prompts_are_no_deeper_than_the_deeper_tower(clip):
    """Published depths are of towers with 12 layers; these have 2 and 3."""
    made = start(clip, MAPLE, PROMPT["maple"])
    assert made.deep.shape[0] == 3 - 1
    assert made.couple.kernel.shape[0] == 3


def test_a_single_layer_has_no_deep_prompts(clip):
    """An array without values could not be saved."""
    check_single_layer(clip, MAPLE, PROMPT["maple"])


def of_three_image_layers(clip):
    """A text tower of 4 layers, an image tower of 3."""
    params = {"text": {"token_embedding": jnp.zeros((500, 16))}}
    return dataclasses.replace(clip, config=case.CONFIG, params=params)


def test_maple_goes_as_deep_as_the_deeper_tower(clip):
    made = start(of_three_image_layers(clip), MAPLE, PromptConfig(text_depth=9))
    assert made.deep.shape[0] == 4 - 1
    assert image_tokens(made).shape[0] == 4


@pytest.mark.parametrize("depth", [2, 3])
def test_each_tower_is_prompted_as_far_as_it_goes(clip, depth):
    """Text of 2 layers, images of 3: a deep prompt moves what has its layer."""
    prompt = dataclasses.replace(PROMPT["maple"], text_depth=depth)
    made = start(clip, MAPLE, prompt)
    student = Student(clip.config, clip.image)
    classes = MAPLE.classes(Models(clip, clip), prompt, "{}", ("cat", "red dog"))
    rng = np.random.default_rng(0)
    pixels = jnp.asarray(rng.integers(256, size=(2, 32, 32, 3)), jnp.uint8)

    def outputs(prompt):
        text, vision = clip.params["text"], clip.params["vision"]
        features, _ = MAPLE.image_features(
            student, vision, Trained(prompt), pixels, False
        )
        return MAPLE.text_features(student, text, classes, prompt, None), features

    before = outputs(made)
    for layer in range(depth - 1):
        changed = made._replace(deep=made.deep.at[layer].mul(9.0))
        moved = [
            bool(jnp.abs(a - b).max() > 1e-4)
            for a, b in zip(before, outputs(changed), strict=True)
        ]
        assert moved == [layer == 0, True]  # 0: of the second layer, the text's last


def test_deeper_couplings_start_alike_and_apart_from_the_first(clip):
    prompt = dataclasses.replace(PROMPT["maple"], text_depth=9)
    kernel = start(of_three_image_layers(clip), MAPLE, prompt).couple.kernel
    np.testing.assert_array_equal(kernel[1], kernel[2])
    assert np.abs(kernel[0] - kernel[1]).max() > 0.01

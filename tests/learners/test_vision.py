import jax
import numpy as np
import pytest
from support.starts import check_depths, check_single_layer, start

from fdbpl_jax.learners.vision import IVLP, VPT
from fdbpl_jax.methods.published import PROMPT


@pytest.mark.parametrize(("preset", "learner"), [("vpt", VPT), ("promptsrc", IVLP)])
def test_prompts_are_no_deeper_than_the_tower(clip, preset, learner):
    """Published depths are of towers with 12 layers; these have 2 and 3."""
    check_depths(clip, learner, PROMPT[preset])


def test_a_single_layer_has_no_deep_prompts(clip):
    """An array without values could not be saved."""
    check_single_layer(clip, IVLP, PROMPT["promptsrc"])


def test_a_seed_decides_what_is_random_and_words_do_not_depend_on_it(clip):
    prompt = PROMPT["promptsrc"]
    first, same, other = (start(clip, IVLP, prompt, seed) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, same)
    np.testing.assert_array_equal(first.context, other.context)
    for name in ("deep", "vision"):
        assert np.abs(getattr(first, name) - getattr(other, name)).max() > 0.01

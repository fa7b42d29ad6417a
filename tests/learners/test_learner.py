"""What all learners have in common: prompts that are stored and read back."""

import jax
import numpy as np
import pytest
from support import methods_case as case

from fdbpl_jax.config import PromptConfig
from fdbpl_jax.learners.cocoop import COCOOP
from fdbpl_jax.learners.coop import COOP
from fdbpl_jax.learners.learner import (
    RANDOM_STD,
    Learner,
    Prompts,
    Start,
    from_tree,
    init_linear,
    init_prompt,
    tree_of,
)
from fdbpl_jax.learners.maple import MAPLE, init_couple
from fdbpl_jax.learners.promptkd import PROMPTKD
from fdbpl_jax.learners.vision import IVLP
from fdbpl_jax.methods.table import METHODS

LEARNERS = {method.learner.name: method.learner for method in METHODS.values()}


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_a_stored_prompt_is_read_back(learner: Learner):
    prompt = case.learned(learner)
    tree = tree_of(prompt)
    assert isinstance(tree, dict)
    restored = from_tree(learner.prompt, tree)
    assert isinstance(restored, learner.prompt)
    jax.tree.map(np.testing.assert_array_equal, prompt, restored)
    assert jax.tree.structure(prompt) == jax.tree.structure(restored)


def test_parts_that_are_not_there_are_not_stored():
    prompt = case.learned(MAPLE)._replace(deep=None)
    assert tree_of(prompt).keys() == {"context", "couple"}
    assert from_tree(MAPLE.prompt, tree_of(prompt)).deep is None
    assert tree_of(Prompts(prompt)).keys() == {"positive"}


def test_a_tree_of_something_else_is_refused():
    tree = tree_of(case.learned(COOP))
    with pytest.raises(KeyError, match="unknown part 'vision'"):
        from_tree(COOP.prompt, tree | {"vision": tree["context"]})
    with pytest.raises(KeyError, match="context"):
        from_tree(COOP.prompt, {})
    with pytest.raises(KeyError, match="couple"):
        from_tree(MAPLE.prompt, tree)


def test_what_a_learner_shapes_is_told_by_its_record():
    context_only = [name for name, x in LEARNERS.items() if x.context_only]
    assert context_only == ["coop"]
    prompted = {name for name, x in LEARNERS.items() if x.prompts_images}
    assert prompted == {"vpt", "maple", "ivlp", "promptkd"}


def test_parts_are_drawn_from_keys_in_a_fixed_order(clip):
    """Context, deep, vision and others: a seed gives the same start in any version."""
    key = jax.random.key(3)
    keys = jax.random.split(key, 4)
    prompt = PromptConfig(4, "", text_depth=2, image_tokens=5, image_depth=2)
    start = Start(clip.config, clip.params, clip.tokenizer, prompt, 3, 9)
    made = init_prompt(key, IVLP, start)
    for drawn, part in zip(keys, (made.context, made.deep, made.vision), strict=False):
        expected = RANDOM_STD * jax.random.normal(drawn, part.shape)
        np.testing.assert_array_equal(part, expected)
    widths = clip.config.text.tower.width, clip.config.vision.tower.width
    couple = init_prompt(key, MAPLE, start).couple
    expected = init_couple(keys[3], 2, *widths)
    jax.tree.map(np.testing.assert_array_equal, couple, expected)
    first, second = jax.random.split(keys[3])
    network = init_prompt(key, COCOOP, start)
    joint = clip.config.projection
    hidden = network.down.bias.size
    down, up = init_linear(first, joint, hidden), init_linear(second, hidden, widths[0])
    jax.tree.map(np.testing.assert_array_equal, network[1:], (down, up))
    norm = init_prompt(key, PROMPTKD, start).projector
    np.testing.assert_array_equal(
        norm.first.kernel, init_linear(first, joint, 9).kernel
    )
    np.testing.assert_array_equal(norm.second.bias, init_linear(second, 9, 9).bias)

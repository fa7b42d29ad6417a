"""What all learners have in common: prompts that are stored and read back."""

import jax
import numpy as np
import pytest
from support import methods_case as case

from fdbpl_jax.learners.coop import COOP
from fdbpl_jax.learners.learner import Learner, Prompts, from_tree, tree_of
from fdbpl_jax.learners.maple import MAPLE
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

"""From prompts to the loss: whose text is whose, and which gradient is descended."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import methods_case as case

from fdbpl_jax.learners.coop import encode_context
from fdbpl_jax.losses.loss import LossWeights, ModelOutputs
from fdbpl_jax.losses.regularizers import ZeroShot, prograd
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.training.loss import losses
from fdbpl_jax.training.state import init_state
from fdbpl_jax.training.step import _gradient


@pytest.fixture(scope="module", name="params")
def _params():
    return case.towers()


@pytest.mark.parametrize("in_one_pass", [False, True])
@pytest.mark.parametrize("name", ["coop+fdbpl", "coop+fdbpl_release"])
def test_each_prompt_has_texts_of_its_own(params, name, in_one_pass):
    method, prompts = METHODS[name], case.prompts_of(METHODS[name])
    frozen, batch = case.frozen_of(method, params), case.batch_of(method, params)
    layouts = [frozen.layout, frozen.negative]
    if in_one_pass:  # of one length, which are encoded together
        negative = prompts.positive._replace(context=-prompts.positive.context)
        prompts, layouts[1] = prompts._replace(negative=negative), frozen.layout
        frozen = frozen._replace(negative=None)
    texts = [
        encode_context(case.TEXT, params["text"], layout, prompt.context)
        for layout, prompt in zip(layouts, prompts, strict=True)
    ]
    weights = LossWeights(case.hyper().weights, case.TERMS)
    setup = case.setup_of(method)
    outputs = ModelOutputs(batch.feature, *texts, frozen.scale, batch)
    expected, _ = method.loss.compute(outputs, weights)
    found, _ = losses(setup, prompts, None, weights, frozen, batch)
    np.testing.assert_allclose(found.loss, expected, rtol=1e-5)
    swapped = outputs._replace(text=texts[1], negative=texts[0])
    assert abs(method.loss.compute(swapped, weights)[0] - expected) > 1e-2
    assert float(found.general) == 0


def test_prograd_descends_the_combination_of_two_gradients(params):
    method = METHODS["prograd"]
    frozen, batch = case.frozen_of(method, params), case.batch_of(method, params)
    setup, hyper = case.setup_of(method), case.hyper()
    weights = LossWeights(hyper.weights, case.TERMS)
    context = case.prompts_of(method).positive

    def both(prompt):
        text = encode_context(case.TEXT, params["text"], frozen.layout, prompt.context)
        outputs = ModelOutputs(batch.feature, text, None, frozen.scale, batch)
        zero_shot = ZeroShot(batch.feature, frozen.written)
        loss, _ = method.loss.compute(outputs, weights)
        penalty = method.regularizer.penalty(outputs, zero_shot, weights)
        return jnp.stack([loss, penalty.general])

    task, general = jax.jacobian(both)(context).context
    assert float(jnp.sum(task * general)) < 0  # they disagree: something is removed
    expected = prograd(task, general, case.TERMS.prograd)
    state = init_state(setup, case.prompts_of(method))
    compiled = jax.jit(functools.partial(_gradient, setup))
    loss, _, _, gradient = compiled(state, hyper, frozen, batch)
    size = float(jnp.abs(expected).max())
    found = gradient.positive.context
    np.testing.assert_allclose(found / size, expected / size, atol=1e-4)
    np.testing.assert_allclose(loss, both(context)[0], rtol=1e-5)

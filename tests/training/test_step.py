import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import methods_case as case
from support import steps

from fdbpl_jax.config import FdbplConfig
from fdbpl_jax.learners.learner import Trained
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.training.state import init_state
from fdbpl_jax.training.step import run_steps, run_together

HYPER = steps.hyper()
# Calls of as many steps as another test's are not compiled anew.
STEPS = 4
NAMES = ["coop", "coop+fdbpl", "coop+fdbpl_release"]


def assert_trees_close(left, right, rtol=1e-5):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6),
        left,
        right,
    )


def fresh(setup, seed=0):
    return init_state(setup, steps.prompts(setup, seed))


@pytest.mark.parametrize("method", NAMES)
def test_many_steps_in_one_call_are_the_same_steps_one_by_one(method):
    setup, frozen, batches = (
        steps.setup_of(method),
        steps.frozen(),
        steps.regions(STEPS, 5),
    )
    together, metrics = run_steps(setup, fresh(setup), HYPER, frozen, batches)
    state = fresh(setup)
    for i in range(STEPS):
        one = jax.tree.map(lambda array, i=i: array[i : i + 1], batches)
        state, last = run_steps(setup, state, HYPER, frozen, one)
        np.testing.assert_allclose(metrics["loss"][i], last["loss"][0], rtol=1e-5)
    assert_trees_close(together, state)


@pytest.mark.parametrize("method", NAMES)
def test_training_lowers_the_loss_and_moves_every_prompt(method):
    setup = steps.setup_of(method, epochs=100)
    batches = steps.regions(1, 15)
    batches = jax.tree.map(lambda array: np.repeat(array, 60, axis=0), batches)
    before = jax.device_get(steps.prompts(setup))
    state, metrics = run_steps(setup, fresh(setup), HYPER, steps.frozen(), batches)
    assert metrics["loss"][-1] < metrics["loss"][0] - 0.01
    for prompt, start in zip(state.prompts, before, strict=True):
        if start is not None:
            assert np.abs(prompt.context - start.context).max() > 1e-3
    assert (before.negative is not None) == setup.method.loss.negative


def test_metrics_tell_terms_weights_and_rate_of_every_step():
    setup = steps.setup_of("coop+fdbpl")
    batches = steps.regions(STEPS, 5)
    _, metrics = run_steps(setup, fresh(setup), HYPER, steps.frozen(), batches)
    weight = 1 - batches.entropy / np.log(steps.CLASSES)
    np.testing.assert_allclose(metrics["w_mean"], weight.mean(1), rtol=1e-5)
    np.testing.assert_allclose(metrics["w_std"], weight.std(1), rtol=1e-5)
    # Three steps an epoch: the fourth has the second epoch's rate.
    expected = 0.1 * 0.5 * (1 + np.cos(np.pi * np.array([0, 0, 0, 1]) / 4))
    np.testing.assert_allclose(metrics["lr"], expected, rtol=1e-5)
    terms, settings = metrics, FdbplConfig()
    total = (
        terms["pos"]
        + settings.lambda_neg * terms["neg"]
        + settings.lambda_diff1 * terms["diff1"]
        + settings.lambda_diff2 * terms["diff2"]
    )
    np.testing.assert_allclose(metrics["loss"], total, rtol=1e-5)


def test_sparse_weights_come_from_the_densified_label():
    setup = steps.setup_of("coop+fdbpl")
    setup = dataclasses.replace(setup, sparse_weight=True)
    batches = steps.regions(1, 5)
    _, metrics = run_steps(setup, fresh(setup), HYPER, steps.frozen(), batches)
    prob = batches.label_prob[0].astype(np.float64)
    prob /= prob.sum(-1, keepdims=True)
    entropy = -(prob * np.log(prob + 1e-6)).sum(-1)
    expected = np.clip(1 - entropy / np.log(steps.CLASSES), 0, 1).mean()
    np.testing.assert_allclose(metrics["w_mean"][0], expected, rtol=1e-4)


def test_one_compilation_serves_all_seeds_rates_and_loss_weights():
    setup, frozen = steps.setup_of("coop+fdbpl"), steps.frozen()
    before = jax.device_get(frozen.towers)
    start = run_steps._cache_size()
    for seed in range(3):
        other = steps.hyper(lr=0.1 * seed, lambda_neg=1.0 * seed, delta=0.1 * seed)
        run_steps(setup, fresh(setup, seed), other, frozen, steps.regions(3, 5, seed))
    assert run_steps._cache_size() == start + 1
    jax.tree.map(np.testing.assert_array_equal, before, jax.device_get(frozen.towers))


@pytest.mark.parametrize("method", NAMES)
def test_runs_at_once_are_the_same_runs_one_at_a_time(method):
    """Other seeds, rates and loss weights in each."""
    setup, frozen = steps.setup_of(method), steps.frozen()
    hypers = [steps.hyper(lr=0.02 * (1 + i), lambda_neg=0.5 * i) for i in range(3)]
    batches = [steps.regions(STEPS, 5, seed) for seed in range(3)]
    states = tuple(fresh(setup, seed) for seed in range(3))
    found = run_together(setup, states, tuple(hypers), frozen, tuple(batches))
    ends = []
    for seed, (state, metrics) in enumerate(found):
        alone, expected = run_steps(
            setup, fresh(setup, seed), hypers[seed], frozen, batches[seed]
        )
        assert_trees_close(state, alone)
        assert_trees_close(metrics, expected)
        ends.append(alone.prompts.positive.context)
    assert np.abs(ends[0] - ends[1]).max() > 1e-3


def test_nothing_moves_between_host_and_device_within_a_call():
    setup, frozen = steps.setup_of("coop+fdbpl"), steps.frozen()
    batches = jax.tree.map(jnp.asarray, steps.regions(3, 5))
    state, frozen = fresh(setup), jax.device_put(frozen)
    run_steps(setup, fresh(setup), HYPER, frozen, batches)  # compiles
    hyper = jax.device_put(HYPER)
    with jax.transfer_guard("disallow"):
        run_steps(setup, state, hyper, frozen, batches)


@pytest.mark.parametrize("method", NAMES)
def test_prompts_stay_float32_beside_a_bfloat16_tower(method):
    setup, full = steps.setup_of(method), steps.frozen()
    towers = jax.tree.map(lambda p: p.astype("bfloat16"), full.towers)
    half = full._replace(towers=towers)
    batches = steps.regions(STEPS, 5)
    _, expected = run_steps(setup, fresh(setup), HYPER, full, batches)
    state, metrics = run_steps(setup, fresh(setup), HYPER, half, batches)
    leaves = jax.tree.leaves((state.prompts, state.momentum))
    floats = {leaf.dtype for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)}
    assert floats == {jnp.dtype("float32")}
    assert metrics["loss"].dtype == jnp.float32
    np.testing.assert_allclose(metrics["loss"], expected["loss"], rtol=0, atol=0.02)
    assert (metrics["loss"] != expected["loss"]).all()


def test_running_statistics_take_in_every_batch_under_the_prompts_of_its_step():
    method = METHODS["promptkd"]
    params, setup = case.towers(), case.setup_of(method)
    frozen, hyper = case.frozen_of(method, params), case.hyper()
    batches = [case.batch_of(method, params, seed) for seed in range(3)]
    state = init_state(setup, case.prompts_of(method), case.running_of(method))
    expected = case.running_of(method)
    for batch in batches:
        trained = Trained(state.prompts.positive, expected)
        vision = params["vision"], trained, batch.pixels
        _, expected = method.learner.image_features(case.STUDENT, *vision, True)
        stacked = jax.tree.map(lambda array: array[None], batch)
        state, _ = run_steps(setup, state, hyper, frozen, stacked)
        assert_trees_close(state.running, expected, rtol=1e-4)


def test_a_term_of_weight_0_is_not_in_the_program():
    """Each costs something, and without the last the negative prompt, too."""
    full, costs = steps.setup_of("coop+fdbpl"), []
    for left_out in ((), ("diff2",), ("diff1", "diff2"), ("neg", "diff1", "diff2")):
        setup = dataclasses.replace(full, left_out=frozenset(left_out))
        state = init_state(setup, steps.prompts(setup))
        values = steps.hyper(), steps.frozen(), steps.regions(1, 5)
        lowered = run_steps.lower(setup, state, *values)
        costs.append(lowered.cost_analysis()["flops"])
        assert not set(left_out) & lowered.out_info[1].keys()
    assert costs == sorted(set(costs), reverse=True)
    assert costs[-1] < 0.6 * costs[0]  # one pass of the text tower instead of two


def test_without_its_terms_the_negative_prompt_stays():
    setup = dataclasses.replace(
        steps.setup_of("coop+fdbpl"), left_out=frozenset({"neg", "diff1", "diff2"})
    )
    begin = jax.device_get(steps.prompts(setup))
    state = init_state(setup, steps.prompts(setup))
    state, _ = run_steps(
        setup, state, steps.hyper(), steps.frozen(), steps.regions(3, 5)
    )
    decayed = 0.99 * np.abs(begin.negative.context)
    assert (np.abs(state.prompts.negative.context) >= decayed).all()
    assert np.abs(state.prompts.positive.context - begin.positive.context).max() > 1e-4

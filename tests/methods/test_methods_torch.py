"""Every learner with every loss against plain PyTorch: whole prompts, no shortcut.

Losses and gradients of all that is learned on one batch, and the losses of 20 updates.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import methods_case as case

from fdbpl_jax.config import OptimConfig, PromptConfig
from fdbpl_jax.learners.cocoop import COCOOP
from fdbpl_jax.learners.coop import COOP
from fdbpl_jax.learners.learner import tree_of
from fdbpl_jax.learners.maple import MAPLE
from fdbpl_jax.learners.vision import IVLP, VPT
from fdbpl_jax.losses.cross_entropy import CROSS_ENTROPY
from fdbpl_jax.losses.fdbpl import FDBPL
from fdbpl_jax.losses.kdpl import KDPL, class_agnostic
from fdbpl_jax.losses.loss import LossWeights
from fdbpl_jax.losses.regularizers import KGCOOP, PROGRAD
from fdbpl_jax.methods.table import METHODS, Method, Names
from fdbpl_jax.training.loss import losses
from fdbpl_jax.training.state import init_state
from fdbpl_jax.training.step import _gradient, run_steps

torch = pytest.importorskip("torch")

from support.torch_side import Rival, gradient, learnable, tensor, updates  # noqa: E402

from benchmarks.torch_reference import learners, terms  # noqa: E402
from benchmarks.torch_reference.prompts import to_torch_pixels  # noqa: E402
from benchmarks.torch_reference.towers import image_tower, text_tower  # noqa: E402


def unnamed(learner, loss, regularizer=None, names=Names.TRAINING) -> Method:
    """A method that is in no table; its settings are of no account."""
    name = f"{learner.name}, {regularizer and regularizer.name}, {loss.name}"
    settings = OptimConfig(), PromptConfig(), ""
    return Method(name, learner, loss, *settings, regularizer, names=names)


# Every preset, and combinations that no preset has.
ALL = {
    name: method
    for name, method in METHODS.items()
    if method.names is not Names.LIST and name != "promptkd-inductive"
} | {
    method.name: method
    for method in (
        unnamed(learner, *task)
        for learner, task in itertools.product(
            (COCOOP, VPT, MAPLE, IVLP),
            ((FDBPL, KGCOOP), (KDPL, PROGRAD), (CROSS_ENTROPY, None)),
        )
    )
}
BEFORE_NORM = "(DictKey(key='first'), DictKey(key='bias'))"


@pytest.fixture(scope="module", name="params")
def _params():
    return case.towers()


@pytest.fixture(scope="module", name="towers")
def _towers(params):
    image = image_tower(case.VISION, params["vision"])
    return learners.Towers(image, text_tower(case.TEXT, params["text"]))


def rival_of(method, towers):
    classes, written = (tensor(text) for text in case.fixed_text(method))
    return Rival(
        towers=towers,
        texts=texts(),
        negative=texts(case.LENGTH + 1),
        fixed=None if case.learns_text(method) else classes,
        written=written,
        scale=case.SCALE,
        weights=case.WEIGHTS,
        terms=case.TERMS,
    )


def texts(length=case.LENGTH, classes=case.CLASSES):
    parts = case.texts(length, classes)
    return learners.Texts(*(tensor(part).long() for part in parts))


def pixels_of(seed=14):
    return to_torch_pixels(np.array(case.normalised(case.pixels(seed))))


def our_gradient(method, params, batch):
    setup, frozen = case.setup_of(method), case.frozen_of(method, params)
    state = init_state(setup, case.prompts_of(method), case.running_of(method))
    compiled = jax.jit(functools.partial(_gradient, setup))
    loss, _, _, gradient = compiled(state, case.hyper(), frozen, batch)
    return loss, tree_of(gradient)


@pytest.mark.parametrize("name", ALL)
def test_loss_and_gradients_are_those_of_the_transcription(name, params, towers):
    method = ALL[name]
    batch = case.batch_of(method, params)
    learned = learnable(case.prompts_of(method))
    rival = rival_of(method, towers)
    expected, gradients = gradient(method, rival, learned, pixels_of(), batch)
    loss, ours = our_gradient(method, params, batch)
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-4, err_msg="loss")
    largest = max(float(gradient.abs().max()) for gradient in gradients)
    leaves = jax.tree_util.tree_leaves_with_path(ours)
    for (path, leaf), theirs in zip(leaves, gradients, strict=True):
        size = float(theirs.abs().max())
        if str(path[-2:]) == BEFORE_NORM:  # without effect: its gradient is rounding
            size = largest
        assert size > 1e-5, path
        np.testing.assert_allclose(
            leaf, theirs, rtol=0, atol=max(1e-4 * size, 2e-5), err_msg=str(path)
        )


STEPS = 20
TRAINED = [
    *("cocoop", "vpt", "maple", "promptsrc", "kgcoop", "prograd", "promptkd"),
    *("maple+kdpl", "vpt+fdbpl", "promptsrc+fdbpl", "cocoop+kdpl"),
]


@pytest.mark.parametrize("name", TRAINED)
def test_twenty_updates_have_the_losses_of_the_transcription(name, params, towers):
    method = METHODS[name]
    setup, frozen = case.setup_of(method, epochs=7), case.frozen_of(method, params)
    batches = [case.batch_of(method, params, seed) for seed in range(STEPS)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)
    state = init_state(setup, case.prompts_of(method), case.running_of(method))
    before = jax.tree.map(np.array, params)
    state, metrics = run_steps(setup, state, case.hyper(), frozen, stacked)
    learned = learnable(case.prompts_of(method))
    pixels = [pixels_of(seed) for seed in range(STEPS)]
    rival = rival_of(method, towers)
    theirs, after = updates(method, rival, learned, pixels, batches, metrics["lr"])
    assert abs(theirs[0] - theirs[-1]) > 1e-3
    np.testing.assert_allclose(metrics["loss"], theirs, rtol=1e-3, atol=1e-3)
    if state.average is not None:
        weights = terms.epoch_weights(7, case.TERMS.promptsrc_mean, 1.0)
        ends = zip(weights, after[2::3], strict=False)  # an epoch has three steps
        parts = [[weight * leaf for leaf in leaves] for weight, leaves in ends]
        average = [sum(leaf) for leaf in zip(*parts, strict=True)]
        ours = jax.tree.leaves(tree_of(state.average))
        for leaf, expected in zip(ours, average, strict=True):
            np.testing.assert_allclose(leaf, expected, atol=1e-3)
    assert (state.average is not None) == name.startswith("promptsrc")
    jax.tree.map(np.testing.assert_array_equal, before, params)


def test_class_agnostic_distillation_keeps_the_likeliest_names():
    logits = np.array(case.normal(20, 7, 30, scale=2.0))
    chosen, probability = class_agnostic(jnp.asarray(logits), 4)
    mean = torch.from_numpy(logits).softmax(-1).mean(0)
    expected = mean.topk(4).indices.sort().values
    np.testing.assert_array_equal(chosen, expected)
    kept = torch.from_numpy(logits)[:, expected].softmax(-1)
    np.testing.assert_allclose(probability, kept, rtol=1e-5)


@pytest.mark.parametrize("learner", [COOP, COCOOP, VPT, MAPLE], ids=lambda x: x.name)
def test_class_agnostic_text_is_that_of_the_chosen_names(learner, params, towers):
    """A list of 11 names, 4 of them chosen: loss and gradient as of these alone."""
    method = unnamed(learner, KDPL, names=Names.LIST)
    chosen = np.array([1, 4, 5, 10])
    batch = case.batch_of(method, params)
    teacher = jax.nn.softmax(case.normal(21, case.BATCH, 4))
    batch = batch._replace(teacher=teacher, chosen=jnp.asarray(chosen))
    names = case.unit(case.normal(22, 11, case.JOINT))
    frozen = case.frozen_of(method, params)._replace(
        layout=case.name_list(11) if case.learns_text(method) else None,
        classes=None if case.learns_text(method) else names,
    )
    learned = learnable(case.prompts_of(method))
    parts = [part[chosen] for part in texts(classes=11)]
    image, text = learners.features(
        learner.name,
        towers,
        learned["positive"],
        learners.Texts(*parts),
        None if case.learns_text(method) else tensor(names)[chosen],
        pixels_of(),
    )
    expected = terms.kdpl(image, text, case.SCALE, tensor(teacher))
    gradients = torch.autograd.grad(expected, jax.tree.leaves(learned))
    setup = case.setup_of(method)
    weights = LossWeights(case.hyper().weights, case.TERMS)

    def our_loss(prompts):
        return losses(setup, prompts, None, weights, frozen, batch)[0].loss

    compiled = jax.jit(jax.value_and_grad(our_loss))
    loss, ours = compiled(case.prompts_of(method))
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-4)
    for leaf, theirs in zip(jax.tree.leaves(tree_of(ours)), gradients, strict=True):
        size = float(theirs.abs().max())
        np.testing.assert_allclose(leaf, theirs, atol=max(1e-4 * size, 2e-5))

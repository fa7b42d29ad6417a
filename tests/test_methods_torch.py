"""Every learner with every objective against plain PyTorch: whole prompts, no shortcut.

Losses and gradients of all that is learned on one batch, and the losses of 20 updates.
"""

import functools

import jax
import jax.numpy as jnp
import methods_case as case
import numpy as np
import pytest

from fdbpl_jax.loss import losses
from fdbpl_jax.methods.method import METHODS, Method
from fdbpl_jax.objectives.kdpl import class_agnostic
from fdbpl_jax.prompts.promptkd import init_running
from fdbpl_jax.step import _gradient, init_state, run_steps

torch = pytest.importorskip("torch")

from benchmarks.torch_reference import learners, terms  # noqa: E402
from benchmarks.torch_reference.prompts import to_torch_pixels  # noqa: E402
from benchmarks.torch_reference.towers import image_tower, text_tower  # noqa: E402

# Every preset, and combinations that no preset has.
ALL = {
    name: method
    for name, method in METHODS.items()
    if method.names != "list" and name != "promptkd-inductive"
} | {
    f"{learner}, {term}, {loss}": Method(learner, loss, term)
    for learner in ("cocoop", "vpt", "maple", "ivlp")
    for term, loss in (("kgcoop", "fdbpl"), ("prograd", "kdpl"), ("", "cross_entropy"))
}
BEFORE_NORM = "(DictKey(key='first'), DictKey(key='bias'))"
LAMBDAS = {
    "neg": case.WEIGHTS.lambda_neg,
    "diff1": case.WEIGHTS.lambda_diff1,
    "diff2": case.WEIGHTS.lambda_diff2,
    "alpha": case.WEIGHTS.alpha,
    "delta": case.WEIGHTS.delta,
}


@pytest.fixture(scope="module", name="params")
def _params():
    return case.towers()


@pytest.fixture(scope="module", name="towers")
def _towers(params):
    image = image_tower(case.VISION, params["vision"])
    return learners.Towers(image, text_tower(case.TEXT, params["text"]))


def to_torch(tree):
    """Leaves that gradients go to."""
    return jax.tree.map(
        lambda leaf: torch.from_numpy(np.array(leaf)).requires_grad_(), tree
    )


def tensor(array):
    return torch.from_numpy(np.array(array))


def texts(length=case.LENGTH):
    return learners.Texts(*(tensor(part).long() for part in case.texts(length)))


def torch_losses(method, towers, learned, pixels, batch):
    """The task's loss, and ProGrad's other one (None for all other methods)."""
    classes, written = (tensor(text) for text in case.fixed_text(method))
    fixed = classes if method.learner in ("vpt", "promptkd") else None
    seen = to_torch_pixels(np.array(case.normalised(pixels)))
    image, text = learners.features(
        method.learner, towers, learned["positive"], texts(), fixed, seen
    )
    scale, teacher = case.SCALE, tensor(batch.teacher)
    if method.negative:
        context = learned["negative"]["context"]
        negative = learners.encode_texts(towers.text, texts(case.LENGTH + 1), context)
        both = (image, text, negative, scale, teacher, tensor(batch.weight))
    if method.loss == "fdbpl":
        loss = terms.fdbpl(*both, LAMBDAS)
    elif method.loss == "fdbpl_release":
        loss = terms.fdbpl_release(*both)
    elif method.loss == "kdpl":
        loss = terms.kdpl(image, text, scale, teacher)
    elif method.loss == "promptkd":
        loss = terms.promptkd(image, text, scale, teacher)
    else:
        loss = terms.cross_entropy(image, text, scale, tensor(batch.label).long())
    frozen = torch.nn.functional.normalize(
        learners.encode_images(towers.image, seen), dim=-1
    )
    if method.term == "kgcoop":
        loss = loss + case.TERMS.kgcoop * terms.kgcoop(text, written)
    elif method.term == "promptsrc":
        loss = loss + terms.promptsrc(image, frozen, text, written, scale)
    elif method.term == "prograd":
        return loss, terms.zero_shot_distance(image, frozen, text, written, scale)
    return loss, None


def torch_gradient(method, towers, learned, pixels, batch):
    """Loss, and the gradient that an update goes by, leaf by leaf."""
    loss, general = torch_losses(method, towers, learned, pixels, batch)
    leaves = jax.tree.leaves(learned)
    own = torch.autograd.grad(loss, leaves, retain_graph=True)
    if general is not None:
        other = torch.autograd.grad(general, leaves, allow_unused=True)
        own = [
            a if b is None else terms.prograd(a, b, case.TERMS.prograd)
            for a, b in zip(own, other, strict=True)
        ]
    return loss, own


def running_of(method):
    return init_running(case.TEACHER) if method.learner == "promptkd" else {}


def our_gradient(method, params, batch):
    setup, frozen = case.setup_of(method), case.frozen_of(method, params)
    state = init_state(setup, case.prompts_of(method), running_of(method))
    find = jax.jit(functools.partial(_gradient, setup))
    loss, _, _, gradient = find(state, frozen, batch)
    return loss, gradient


@pytest.mark.parametrize("name", ALL)
def test_loss_and_gradients_are_those_of_the_transcription(name, params, towers):
    method = ALL[name]
    batch = case.batch_of(method, params)
    learned = to_torch(case.prompts_of(method))
    expected, gradients = torch_gradient(method, towers, learned, case.pixels(), batch)
    loss, found = our_gradient(method, params, batch)
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-4, err_msg="loss")
    largest = max(float(gradient.abs().max()) for gradient in gradients)
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(found)]
    for path, ours, theirs in zip(
        paths, jax.tree.leaves(found), gradients, strict=True
    ):
        size = float(theirs.abs().max())
        if str(path[-2:]) == BEFORE_NORM:  # without effect: its gradient is rounding
            size = largest
        assert size > 1e-5, path
        np.testing.assert_allclose(
            ours, theirs, rtol=0, atol=max(1e-4 * size, 2e-5), err_msg=str(path)
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
    state = init_state(setup, case.prompts_of(method), running_of(method))
    before = jax.tree.map(np.array, params)
    state, metrics = run_steps(setup, state, frozen, stacked)
    learned = to_torch(case.prompts_of(method))
    leaves = jax.tree.leaves(learned)
    sgd = torch.optim.SGD(leaves, momentum=0.9, weight_decay=5e-4)
    theirs, average = [], [torch.zeros_like(leaf) for leaf in leaves]
    weights = terms.epoch_weights(7, case.TERMS.promptsrc_mean, 1.0)
    for step, batch in enumerate(batches):
        sgd.param_groups[0]["lr"] = float(metrics["lr"][step])
        pixels = case.pixels(step)
        loss, gradients = torch_gradient(method, towers, learned, pixels, batch)
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = gradient
        sgd.step()
        theirs.append(loss.item())
        if (step + 1) % 3 == 0:
            for kept, leaf in zip(average, leaves, strict=True):
                kept += weights[step // 3] * leaf.detach()
    assert abs(theirs[0] - theirs[-1]) > 1e-3
    np.testing.assert_allclose(metrics["loss"], theirs, rtol=1e-3, atol=1e-3)
    if method.term == "promptsrc":
        for ours, expected in zip(jax.tree.leaves(state.average), average, strict=True):
            np.testing.assert_allclose(ours, expected, atol=1e-3)
    jax.tree.map(np.testing.assert_array_equal, before, params)


def test_class_agnostic_distillation_keeps_the_likeliest_names():
    logits = np.array(case.normal(20, 7, 30, scale=2.0))
    chosen, probability = class_agnostic(jnp.asarray(logits), 4)
    mean = torch.from_numpy(logits).softmax(-1).mean(0)
    expected = mean.topk(4).indices.sort().values
    np.testing.assert_array_equal(chosen, expected)
    kept = torch.from_numpy(logits)[:, expected].softmax(-1)
    np.testing.assert_allclose(probability, kept, rtol=1e-5)


@pytest.mark.parametrize("learner", ["coop", "cocoop", "vpt", "maple"])
def test_class_agnostic_text_is_that_of_the_chosen_names(learner, params, towers):
    """A list of 11 names, 4 of them chosen: loss and gradient as of these alone."""
    method = Method(learner, "kdpl", names="list")
    chosen = np.array([1, 4, 5, 10])
    batch = case.batch_of(method, params)
    teacher = jax.nn.softmax(case.normal(21, case.BATCH, 4))
    batch = batch._replace(teacher=teacher, chosen=jnp.asarray(chosen))
    names = case.unit(case.normal(22, 11, case.JOINT))
    frozen = case.frozen_of(method, params)._replace(
        layout=None if learner == "vpt" else case.name_list(11),
        classes=names if learner == "vpt" else None,
    )
    learned = to_torch(case.prompts_of(method))
    parts = [tensor(part).long()[chosen] for part in case.texts(classes=11)]
    image, text = learners.features(
        learner,
        towers,
        learned["positive"],
        learners.Texts(*parts),
        tensor(names)[chosen] if learner == "vpt" else None,
        to_torch_pixels(np.array(case.normalised(case.pixels()))),
    )
    expected = terms.kdpl(image, text, case.SCALE, tensor(teacher))
    gradients = torch.autograd.grad(expected, jax.tree.leaves(learned))
    setup = case.setup_of(method)

    def ours(prompts):
        return losses(setup, prompts, {}, frozen, batch)[0].loss

    loss, found = jax.jit(jax.value_and_grad(ours))(case.prompts_of(method))
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-4)
    for one, other in zip(jax.tree.leaves(found), gradients, strict=True):
        size = float(other.abs().max())
        np.testing.assert_allclose(one, other, atol=max(1e-4 * size, 2e-5))

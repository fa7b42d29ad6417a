import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import problem as given
from fdbpl_jax.clip.config import TextConfig, TowerConfig
from fdbpl_jax.config import METHOD_OPTIM
from fdbpl_jax.objectives.batch import Batch
from fdbpl_jax.objectives.cross_entropy import cross_entropy
from fdbpl_jax.prompts.coop import text_features
from fdbpl_jax.step import init_state, run_steps

torch = pytest.importorskip("torch")
torch_coop = pytest.importorskip("benchmarks.torch_coop")

CLASSES, JOINT, STEPS, BATCH = 7, 10, 3, 5
TEXT = TextConfig(TowerConfig(16, 3, 2, 28, "quick_gelu", 1e-5), 40, 20, 39)
OPTIM = dataclasses.replace(METHOD_OPTIM["coop"], lr=0.05, warmup_epochs=0)


@pytest.fixture(scope="module")
def problem():
    made = given.make_problem(TEXT, JOINT, CLASSES, seed=0)
    rng = np.random.default_rng(1)

    def shake(p):  # norms and biases start at exactly 1 and 0
        return p + 0.2 * rng.standard_normal(p.shape).astype(np.float32)

    return dataclasses.replace(made, params=jax.tree.map(shake, made.params))


@pytest.fixture(scope="module")
def batches():
    return given.make_batches(CLASSES, JOINT, STEPS, BATCH, seed=2)


def torch_batch(batches, step):
    feature = torch.from_numpy(batches.feature[step].astype(np.float32))
    return feature, torch.from_numpy(batches.label[step]).long()


@pytest.mark.parametrize("cut", [False, True])
def test_both_sides_have_the_same_loss_and_gradient(problem, batches, cut):
    tokens = problem.eos.max() + 1 if cut else TEXT.context_length
    model = torch_coop.TorchCoop(problem, tokens)
    feature, label = torch_batch(batches, 0)
    loss = torch.nn.functional.cross_entropy(model(feature), label)
    loss.backward()
    frozen = given.make_frozen(problem)
    batch = Batch(jnp.asarray(feature.numpy()), batches.label[0], None, None)

    def ours(prompt):
        text = text_features(TEXT, frozen.text, frozen.layout, prompt)
        return cross_entropy(batch, text, frozen.scale)[0]

    prompt = given.make_prompts(problem, "coop")["positive"]
    value, gradient = jax.jit(jax.value_and_grad(ours))(prompt)
    np.testing.assert_allclose(value, loss.item(), rtol=1e-4)
    theirs = model.context.grad.numpy()
    scale = np.abs(theirs).max()
    assert scale > 1e-2
    np.testing.assert_allclose(
        gradient["context"] / scale, theirs / scale, rtol=0, atol=1e-4
    )


def test_both_sides_train_to_the_same_context(problem, batches):
    setup = given.make_setup(problem, "coop", OPTIM)
    state = init_state(setup, given.make_prompts(problem, "coop"))
    state, metrics = run_steps(
        setup, state, given.make_frozen(problem), batches
    )
    model = torch_coop.TorchCoop(problem, TEXT.context_length)
    step = torch_coop.make_step(model, OPTIM)
    losses = [step(*torch_batch(batches, i)).item() for i in range(STEPS)]
    np.testing.assert_allclose(metrics["loss"], losses, rtol=1e-4)
    trained = model.context.detach().numpy()
    moved = np.abs(trained - problem.context).max()
    assert moved > 1e-2
    np.testing.assert_allclose(
        state.prompts["positive"]["context"], trained, rtol=0, atol=1e-4 * moved
    )


def test_only_the_context_is_trained(problem):
    model = torch_coop.TorchCoop(problem, TEXT.context_length)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained == ["context"]


def test_names_are_as_long_as_imagenets():
    lengths = given.name_lengths(1000, seed=0)
    found = dict(zip(*np.unique(lengths, return_counts=True), strict=True))
    assert found == given.NAME_LENGTHS
    few = given.name_lengths(50, seed=0)
    assert len(few) == 50
    assert (few.min(), np.median(few), few.max()) == (1, 2, 6)

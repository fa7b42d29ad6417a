"""Each PyTorch reference has our loss and our gradient on the same batch."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from benchmarks import problem as given
from fdbpl_jax.clip.config import ClipConfig, TextConfig, TowerConfig, VisionConfig
from fdbpl_jax.clip.image import ImageSettings
from fdbpl_jax.clip.vision import encode_image, init_vision
from fdbpl_jax.config import CropConfig
from fdbpl_jax.learners.coop import encode_context
from fdbpl_jax.losses.cross_entropy import cross_entropy
from fdbpl_jax.losses.fdbpl_release import fdbpl_release
from fdbpl_jax.losses.kdpl import kdpl
from fdbpl_jax.losses.loss import Batch, ModelOutputs
from fdbpl_jax.methods.published import OPTIM as PUBLISHED
from fdbpl_jax.ril.labels import densify, entropy, information_weight
from fdbpl_jax.ril.regions import crop_region, draw_regions
from fdbpl_jax.training.state import init_state
from fdbpl_jax.training.step import run_steps

torch = pytest.importorskip("torch")

from benchmarks.torch_reference import data  # noqa: E402
from benchmarks.torch_reference.coop import Coop  # noqa: E402
from benchmarks.torch_reference.fdbpl_release import FdbplRelease  # noqa: E402
from benchmarks.torch_reference.kdpl import Kdpl  # noqa: E402
from benchmarks.torch_reference.prompts import (  # noqa: E402
    Prompt,
    class_logits,
    to_torch_pixels,
)
from benchmarks.torch_reference.step import make_step  # noqa: E402
from benchmarks.torch_reference.towers import image_tower, text_tower  # noqa: E402

CLASSES, JOINT, TEACHER_JOINT, STEPS, BATCH, KEPT = 7, 10, 12, 3, 5, 4
TEXT = TextConfig(TowerConfig(16, 3, 2, 28, "quick_gelu", 1e-5), 40, 20, 39)
VISION = VisionConfig(TowerConfig(24, 2, 3, 40, "quick_gelu", 1e-5), 16, 8)
TEACHER = VisionConfig(TowerConfig(32, 3, 4, 48, "quick_gelu", 1e-5), 16, 4)
OPTIM = dataclasses.replace(PUBLISHED["coop"], lr=0.05, warmup_epochs=0)
WHOLE = TEXT.context_length


def shaken(params, seed):
    """Norms and biases start at exactly 1 and 0: not here."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda p: p + 0.2 * rng.standard_normal(p.shape).astype(np.float32), params
    )


def unit(x):
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def problem():
    params = given.random_text(TEXT, JOINT, 0)
    config = ClipConfig(VISION, TEXT, JOINT)
    return given.make_problem(config, CLASSES, 0, shaken(params, 1))


@pytest.fixture(scope="module")
def vision():
    return shaken(init_vision(VISION, JOINT, jax.random.key(2)), 3)


@pytest.fixture(scope="module")
def teacher():
    return shaken(init_vision(TEACHER, TEACHER_JOINT, jax.random.key(4)), 5)


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(6)
    return rng.standard_normal((BATCH, 16, 16, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def labels():
    return np.array([3, 0, 6, 3, 1], np.int32)


def feature_of(config, params, pixels):
    return unit(jax.jit(encode_image, static_argnums=0)(config, params, pixels))


def contexts(problem, branches):
    """Contexts that differ, so that no branch can stand for another."""
    rng = np.random.default_rng(7)
    return {
        branch: problem.context
        + 0.1 * rng.standard_normal(problem.context.shape).astype(np.float32)
        for branch in branches
    }


def compare(problem, model, prompts, batch, loss_of):
    """Loss and gradient of a PyTorch model against ours, after setting its contexts."""
    for prompt, context in prompts:
        prompt.context.data = torch.from_numpy(context.copy())
    loss = model(*batch)
    loss.backward()
    frozen = given.make_frozen(problem)

    def ours(contexts):
        texts = [
            encode_context(TEXT, frozen.towers["text"], frozen.layout, context)
            for context in contexts
        ]
        return loss_of(texts, frozen.scale)

    start = [jnp.asarray(context) for _, context in prompts]
    value, gradients = jax.jit(jax.value_and_grad(ours))(start)
    np.testing.assert_allclose(value, loss.item(), rtol=1e-5)
    for (prompt, _), gradient in zip(prompts, gradients, strict=True):
        theirs = prompt.context.grad.numpy()
        scale = np.abs(theirs).max()
        assert scale > 1e-4
        np.testing.assert_allclose(gradient / scale, theirs / scale, rtol=0, atol=3e-5)


@pytest.mark.parametrize("cut", [False, True])
def test_coop(problem, vision, pixels, labels, cut):
    tokens = int(problem.eos.max()) + 1 if cut else WHOLE
    towers = image_tower(VISION, vision), text_tower(TEXT, problem.params)
    model = Coop(*towers, problem, tokens)
    context = contexts(problem, ["positive"])["positive"]
    feature = feature_of(VISION, vision, pixels)

    def ours(texts, scale):
        batch = Batch(feature, labels, None, None)
        return cross_entropy(ModelOutputs(feature, texts[0], None, scale, batch))[0]

    batch = to_torch_pixels(pixels), torch.from_numpy(labels).long()
    compare(problem, model, [(model.prompt, context)], batch, ours)


def test_kdpl(problem, vision, teacher, pixels):
    rng = np.random.default_rng(8)
    # Alike, as texts are to a CLIP: logits 69 apart would pass our floor of log(1e-30).
    text = 1 + 0.4 * rng.standard_normal((CLASSES, TEACHER_JOINT))
    text = np.array(unit(text), np.float32)
    model = Kdpl(
        image_tower(VISION, vision),
        text_tower(TEXT, problem.params),
        image_tower(TEACHER, teacher),
        torch.from_numpy(text),
        problem,
        WHOLE,
    )
    context = contexts(problem, ["positive"])["positive"]
    seen = feature_of(TEACHER, teacher, pixels)
    probability = jax.nn.softmax(given.SCALE * seen @ text.T)
    batch = Batch(feature_of(VISION, vision, pixels), None, probability, None)

    def ours(texts, scale):
        return kdpl(ModelOutputs(batch.feature, texts[0], None, scale, batch))[0]

    pixels = (to_torch_pixels(pixels),)
    compare(problem, model, [(model.prompt, context)], pixels, ours)


def test_released_fdbpl(problem, vision, pixels):
    rng = np.random.default_rng(9)
    index = np.stack([rng.permutation(CLASSES)[:KEPT] for _ in range(BATCH)])
    logit = -np.sort(-3 * rng.random((BATCH, KEPT)), axis=-1).astype(np.float32)
    dense = torch.stack(
        [
            data.dense_label(torch.from_numpy(np.stack(pair).astype(np.float32)), 7)
            for pair in zip(index, logit, strict=True)
        ]
    )
    kept = np.asarray(jax.nn.softmax(logit))
    whole = densify(jnp.asarray(index), jnp.asarray(0.9 * kept), CLASSES, "mr")
    np.testing.assert_allclose(whole, dense, atol=1e-6)
    model = FdbplRelease(
        image_tower(VISION, vision), text_tower(TEXT, problem.params), problem, WHOLE
    )
    weight = information_weight(entropy(whole), CLASSES)
    assert 0.1 < float(weight.mean()) < 0.9
    batch = Batch(feature_of(VISION, vision, pixels), None, whole, weight)

    def ours(texts, scale):
        return fdbpl_release(ModelOutputs(batch.feature, *texts, scale, batch))[0]

    made = contexts(problem, ["positive", "negative"])
    prompts = [(model.positive, made["positive"]), (model.negative, made["negative"])]
    compare(problem, model, prompts, (to_torch_pixels(pixels), dense), ours)


def test_logits_are_float32_under_autocast():
    rng = np.random.default_rng(12)
    image, text = (np.array(unit(rng.standard_normal((n, JOINT)))) for n in (3, 4))
    with torch.autocast("cpu", torch.bfloat16):
        found = class_logits(*map(torch.from_numpy, (image, text)))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, given.SCALE * image @ text.T, atol=1e-3)


class OnFeatures(torch.nn.Module):
    """CoOp on given image features, as our compiled step takes them."""

    def __init__(self, problem):
        super().__init__()
        self.prompt = Prompt(text_tower(TEXT, problem.params), problem, WHOLE)

    def forward(self, feature, label):
        logits = class_logits(feature, self.prompt())
        return torch.nn.functional.cross_entropy(logits, label)


def test_both_sides_train_to_the_same_context(problem):
    batches = given.make_batches(CLASSES, JOINT, STEPS, BATCH, seed=2)
    setup = given.make_setup(problem, "coop", OPTIM)
    state = init_state(setup, given.make_prompts(problem, "coop"))
    hyper, frozen = given.make_hyper(OPTIM), given.make_frozen(problem)
    state, metrics = run_steps(setup, state, hyper, frozen, batches)
    model = OnFeatures(problem)
    step = make_step(model, OPTIM)
    losses = [
        step(
            torch.from_numpy(batches.feature[i].astype(np.float32)),
            torch.from_numpy(batches.label[i]).long(),
        ).item()
        for i in range(STEPS)
    ]
    np.testing.assert_allclose(metrics["loss"], losses, rtol=1e-4)
    trained = model.prompt.context.detach().numpy()
    moved = np.abs(trained - problem.context).max()
    assert moved > 1e-2
    np.testing.assert_allclose(
        state.prompts.positive.context, trained, rtol=0, atol=1e-4 * moved
    )


def test_only_contexts_are_trained(problem, vision):
    towers = image_tower(VISION, vision), text_tower(TEXT, problem.params)
    model = FdbplRelease(*towers, problem, WHOLE)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained == ["positive.context", "negative.context"]


@pytest.fixture
def image_file(tmp_path):
    rng = np.random.default_rng(10)
    image = Image.fromarray(rng.integers(256, size=(37, 53, 3), dtype=np.uint8))
    image.save(tmp_path / "image.png")
    return tmp_path / "image.png"


def test_a_label_file_replays_the_regions_it_was_written_for(image_file):
    rng = np.random.default_rng(11)
    box, flip = draw_regions(CropConfig(), 0, "0" * 64, (37, 53), range(6))
    index = np.stack([rng.permutation(CLASSES)[:KEPT] for _ in range(6)])
    logit = rng.random((6, KEPT))
    box.flags.writeable = flip.flags.writeable = False  # as a table's arrays are
    file = image_file.with_suffix(".tar")
    data.save_labels(file, box, flip, index, logit, (37, 53))
    coords, flips, top = torch.load(file, weights_only=True)
    np.testing.assert_array_equal(top[:, 0], index)
    image = Image.open(image_file)
    for i in range(6):
        found = data.replay(image, coords[i], bool(flips[i]), 16)
        np.testing.assert_array_equal(
            found, crop_region(image, box[i], bool(flip[i]), 16)
        )
    settings = ImageSettings(16)
    dataset = data.StoredRegions([image_file], [file], CLASSES, settings)
    pixels, label = dataset[0]
    assert pixels.shape == (3, 16, 16)
    assert float(label.sum()) == pytest.approx(1)
    assert int((label > 0).sum()) == KEPT


def test_views_come_in_whole_batches_from_workers(image_file):
    dataset = data.Views([image_file] * 5, range(5), ImageSettings(16))
    with warnings.catch_warnings():
        # A machine of one processor is told that two workers are too many.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        batches = list(data.loader(dataset, 2, workers=2))
    assert [pixels.shape for pixels, _ in batches] == [(2, 3, 16, 16)] * 2
    seen = [int(label) for _, labels in batches for label in labels]
    assert len(set(seen)) == 4
    assert not torch.equal(batches[0][0][0], batches[0][0][1])

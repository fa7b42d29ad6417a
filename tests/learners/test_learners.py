"""Learners by themselves: how many values they learn, and what surrounds them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import methods_case as case

from fdbpl_jax.clip.model import load_clip
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.learners import cocoop, promptkd
from fdbpl_jax.learners.cocoop import COCOOP
from fdbpl_jax.learners.learner import (
    Classes,
    Start,
    Student,
    Trained,
    from_tree,
    init_prompt,
    tree_of,
)
from fdbpl_jax.learners.maple import MAPLE
from fdbpl_jax.learners.promptkd import PROMPTKD
from fdbpl_jax.learners.vision import IVLP
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.shapes.pair import embedded


@pytest.fixture(scope="module", name="clip")
def _clip():
    return load_clip(str(embedded("student")))


def start(clip, learner, prompt, seed=0):
    start = Start(clip.config, clip.params, clip.tokenizer, prompt, 3, 9)
    return init_prompt(jax.random.key(seed), learner, start)


@pytest.mark.parametrize(
    ("preset", "parts"),
    [
        ("vpt", {"vision"}),
        ("maple", {"context", "couple", "deep"}),
        ("promptsrc", {"context", "vision", "deep"}),
    ],
)
def test_prompts_are_no_deeper_than_the_tower(clip, preset, parts):
    """Published depths are of towers with 12 layers; these have 2 and 3."""
    made = tree_of(start(clip, METHODS[preset].learner, METHODS[preset].prompt))
    assert made.keys() == parts
    text, image = clip.config.text.tower, clip.config.vision.tower
    if "deep" in made:
        assert made["deep"].shape[0] == text.layers - 1
    if "vision" in made:
        assert len(made["vision"]) == image.layers
    if "couple" in made:
        assert made["couple"]["kernel"].shape == (2, text.width, image.width)


def test_maple_goes_as_deep_as_the_shallower_tower():
    """Text towers of the test's model have 4 layers, image towers 3."""
    prompt = PromptConfig(text_depth=9, context_length=2, init="", image_tokens=1)
    params = {"text": {"token_embedding": jnp.zeros((500, 16))}}
    towers = Start(case.CONFIG, params, None, prompt, 3, 9)
    maple, ivlp = (init_prompt(jax.random.key(0), x, towers) for x in (MAPLE, IVLP))
    assert (1 + len(maple.deep), len(maple.couple.kernel)) == (3, 3)
    assert (1 + len(ivlp.deep), len(ivlp.vision)) == (4, 1)


@pytest.mark.parametrize("preset", ["maple", "promptsrc"])
def test_a_single_layer_has_no_deep_prompts(clip, preset):
    """An array without values could not be saved."""
    learner, published = METHODS[preset].learner, METHODS[preset].prompt
    prompt = dataclasses.replace(published, text_depth=1, image_depth=1)
    made = start(clip, learner, prompt)
    assert made.deep is None
    assert "deep" not in tree_of(made)
    assert all(leaf.size for leaf in jax.tree.leaves(made))
    pixels = jnp.zeros((2, 32, 32, 3), jnp.uint8)
    student = Student(clip.config, clip.image)
    vision = clip.params["vision"]
    found, _ = learner.image_features(student, vision, Trained(made), pixels, True)
    assert bool(jnp.isfinite(found).all())


def test_maples_deeper_couplings_start_alike_and_apart_from_the_first(clip):
    prompt = dataclasses.replace(METHODS["maple"].prompt, text_depth=9)
    big = dataclasses.replace(clip, config=case.CONFIG)
    params = {"text": {"token_embedding": jnp.zeros((500, 16))}}
    big = dataclasses.replace(big, params=params)
    kernel = start(big, MAPLE, prompt).couple.kernel
    np.testing.assert_array_equal(kernel[1], kernel[2])
    assert np.abs(kernel[0] - kernel[1]).max() > 0.01


def test_a_seed_decides_what_is_random_and_words_do_not_depend_on_it(clip):
    prompt = METHODS["promptsrc"].prompt
    one, same, other = (start(clip, IVLP, prompt, seed) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    np.testing.assert_array_equal(one.context, other.context)
    for name in ("deep", "vision"):
        assert np.abs(getattr(one, name) - getattr(other, name)).max() > 0.01


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_prompts_come_back_from_the_form_they_are_stored_in(method):
    prompt = case.learned(method.learner)
    stored = tree_of(prompt)
    restored = from_tree(method.learner.prompt, stored)
    assert type(restored) is type(prompt)
    assert jax.tree.structure(restored) == jax.tree.structure(prompt)
    jax.tree.map(np.testing.assert_array_equal, restored, prompt)
    first = next(iter(stored))
    with pytest.raises(KeyError, match=first):
        from_tree(method.learner.prompt, {k: stored[k] for k in stored if k != first})
    with pytest.raises(KeyError, match="another"):
        from_tree(method.learner.prompt, stored | {"another": stored[first]})


def test_images_taken_a_few_at_a_time_have_the_same_text(monkeypatch):
    params, prompt = case.towers(), case.learned(COCOOP)
    layout = case.layout()
    image = case.unit(case.normal(30, 7, case.JOINT))

    def encode(prompt):
        classes = Classes(layout, None)
        return COCOOP.text_features(
            case.STUDENT, params["text"], classes, prompt, image
        )

    def gradient(prompt):
        wanted = case.normal(31, 7, case.CLASSES, case.JOINT)
        return jax.grad(lambda p: jnp.sum(encode(p) * wanted))(prompt)

    together, slope = encode(prompt), gradient(prompt)
    monkeypatch.setattr(cocoop, "_TOKENS", 3 * cocoop._tokens(layout))
    np.testing.assert_allclose(encode(prompt), together, atol=2e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        gradient(prompt),
        slope,
    )


def test_the_projector_keeps_the_running_statistics_that_torch_keeps():
    torch = pytest.importorskip("torch")
    projector = case.learned(PROMPTKD).projector
    norm = torch.nn.BatchNorm1d(case.TEACHER)
    with torch.no_grad():
        norm.weight.copy_(torch.from_numpy(np.array(projector.norm.scale)))
        norm.bias.copy_(torch.from_numpy(np.array(projector.norm.bias)))
    running = promptkd.init_running(case.TEACHER)
    for seed in range(3):
        feature = case.normal(40 + seed, 6, case.JOINT)
        first, second = projector.first, projector.second
        hidden = np.array(feature @ first.kernel + first.bias[None])
        normed = norm(torch.from_numpy(hidden)).relu().detach().numpy()
        expected = normed @ np.array(second.kernel) + np.array(second.bias)
        found, running = promptkd.project_batch(projector, running, feature)
        np.testing.assert_allclose(found, expected, atol=2e-5)
    np.testing.assert_allclose(running.mean, norm.running_mean, atol=1e-6)
    np.testing.assert_allclose(running.variance, norm.running_var, rtol=1e-5)
    norm.eval()
    normed = norm(torch.from_numpy(hidden)).relu().detach().numpy()
    expected = normed @ np.array(second.kernel) + np.array(second.bias)
    found = promptkd.project(projector, running, feature)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_tested_image_does_not_depend_on_its_batch():
    """PromptKD's batch norm goes by the running statistics then."""
    params, prompt = case.towers(), case.learned(PROMPTKD)
    running = promptkd.init_running(case.TEACHER)

    def features(pixels):
        vision = params["vision"]
        trained = Trained(prompt, running)
        return PROMPTKD.image_features(case.STUDENT, vision, trained, pixels, False)[0]

    whole = features(case.pixels())
    np.testing.assert_allclose(features(case.pixels()[:2]), whole[:2], atol=2e-6)

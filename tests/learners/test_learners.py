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
from fdbpl_jax.learners.learner import Student, depths, image_features, init_prompt
from fdbpl_jax.methods.published import METHOD_PROMPT
from fdbpl_jax.shapes.pair import embedded


@pytest.fixture(scope="module", name="clip")
def _clip():
    return load_clip(str(embedded("student")))


def start(clip, learner, prompt, seed=0):
    return init_prompt(
        jax.random.key(seed),
        learner,
        clip.config,
        clip.params,
        clip.tokenizer,
        prompt,
        classes=3,
        teacher=9,
    )


def shapes(tree):
    return jax.tree.map(lambda leaf: leaf.shape, tree)


@pytest.mark.parametrize(
    ("preset", "learner"),
    [("vpt", "vpt"), ("maple", "maple"), ("promptsrc", "ivlp")],
)
def test_prompts_are_no_deeper_than_the_tower(clip, preset, learner):
    """Published depths are of towers with 12 layers; these have 2 and 3."""
    made = start(clip, learner, METHOD_PROMPT[preset])
    text, image = clip.config.text.tower, clip.config.vision.tower
    if "deep" in made:
        assert made["deep"].shape[0] == text.layers - 1
    if "vision" in made:
        assert len(made["vision"]) == image.layers
    if "couple" in made:
        assert made["couple"]["kernel"].shape == (2, text.width, image.width)


def test_maple_goes_as_deep_as_the_shallower_tower():
    prompt = PromptConfig(text_depth=9)
    assert depths(case.CONFIG, "maple", prompt) == (3, 3)
    assert depths(case.CONFIG, "ivlp", prompt) == (4, 1)


@pytest.mark.parametrize("learner", ["maple", "ivlp"])
def test_a_single_layer_has_no_deep_prompts(clip, learner):
    """An array without values could not be saved."""
    prompt = dataclasses.replace(
        METHOD_PROMPT["maple" if learner == "maple" else "promptsrc"],
        text_depth=1,
        image_depth=1,
    )
    made = start(clip, learner, prompt)
    assert "deep" not in made
    assert all(leaf.size for leaf in jax.tree.leaves(made))
    pixels = jnp.zeros((2, 32, 32, 3), jnp.uint8)
    student = Student(clip.config, clip.image)
    found, _ = image_features(
        learner, student, clip.params["vision"], made, {}, pixels, training=True
    )
    assert bool(jnp.isfinite(found).all())


def test_maples_deeper_couplings_start_alike_and_apart_from_the_first(clip):
    prompt = dataclasses.replace(METHOD_PROMPT["maple"], text_depth=9)
    big = dataclasses.replace(clip, config=case.CONFIG)
    params = {"text": {"token_embedding": jnp.zeros((500, 16))}}
    big = dataclasses.replace(big, params=params)
    kernel = start(big, "maple", prompt)["couple"]["kernel"]
    np.testing.assert_array_equal(kernel[1], kernel[2])
    assert np.abs(kernel[0] - kernel[1]).max() > 0.01


def test_a_seed_decides_what_is_random_and_words_do_not_depend_on_it(clip):
    prompt = METHOD_PROMPT["promptsrc"]
    one, same, other = (start(clip, "ivlp", prompt, seed) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    np.testing.assert_array_equal(one["context"], other["context"])
    for name in ("deep", "vision"):
        assert np.abs(one[name] - other[name]).max() > 0.01


def test_images_taken_a_few_at_a_time_have_the_same_text(monkeypatch):
    params, prompt = case.towers(), case.learned("cocoop")
    layout = case.layout()
    image = case.unit(case.normal(30, 7, case.JOINT))

    def encode(prompt):
        return cocoop.text_features(case.TEXT, params["text"], layout, prompt, image)

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
    projector = case.learned("promptkd")["projector"]
    norm = torch.nn.BatchNorm1d(case.TEACHER)
    with torch.no_grad():
        for name, value in (("weight", "scale"), ("bias", "bias")):
            new = torch.from_numpy(np.array(projector["norm"][value]))
            getattr(norm, name).copy_(new)
    running = promptkd.init_running(case.TEACHER)
    for seed in range(3):
        feature = case.normal(40 + seed, 6, case.JOINT)
        first, second = projector["first"], projector["second"]
        hidden = np.array(feature @ first["kernel"] + first["bias"][None])
        normed = norm(torch.from_numpy(hidden)).relu().detach().numpy()
        expected = normed @ np.array(second["kernel"]) + np.array(second["bias"])
        found, running = promptkd.project_batch(projector, running, feature)
        np.testing.assert_allclose(found, expected, atol=2e-5)
    np.testing.assert_allclose(running["mean"], norm.running_mean, atol=1e-6)
    np.testing.assert_allclose(running["variance"], norm.running_var, rtol=1e-5)
    norm.eval()
    normed = norm(torch.from_numpy(hidden)).relu().detach().numpy()
    expected = normed @ np.array(second["kernel"]) + np.array(second["bias"])
    found = promptkd.project(projector, running, feature)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_tested_image_does_not_depend_on_its_batch():
    """PromptKD's batch norm goes by the running statistics then."""
    params, prompt = case.towers(), case.learned("promptkd")
    running = promptkd.init_running(case.TEACHER)

    def features(pixels):
        vision = params["vision"]
        return image_features(
            "promptkd", case.STUDENT, vision, prompt, running, pixels, training=False
        )[0]

    whole = features(case.pixels())
    np.testing.assert_allclose(features(case.pixels()[:2]), whole[:2], atol=2e-6)

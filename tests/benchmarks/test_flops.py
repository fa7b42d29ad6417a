import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import ceiling
from benchmarks.flops import prompts_flops, step_flops, text_flops, vision_flops
from benchmarks.sizes import CONFIGS, config_of
from fdbpl_jax.clip.config import ClipConfig, TextConfig, TowerConfig, VisionConfig
from fdbpl_jax.clip.convert import param_shapes
from fdbpl_jax.clip.layout import make_layout
from fdbpl_jax.clip.text import encode_prompts, encode_text
from fdbpl_jax.clip.vision import encode_image
from fdbpl_jax.errors import UserError

# Wide enough that matrix products are nearly all there is, and texts and images long
# enough that attention's are several percent of them.
TOWER = TowerConfig(512, 2, 8, 2048, "quick_gelu", 1e-5)
VISION = VisionConfig(TOWER, 64, 4)
TEXT = TextConfig(TOWER, 100, 256, 99)
JOINT = 256


def xla_flops(encode, config, params, argument):
    compiled = jax.jit(functools.partial(encode, config)).lower(params, argument)
    return compiled.compile().cost_analysis()["flops"]


@pytest.fixture(scope="module")
def shapes():
    return param_shapes(ClipConfig(VISION, TEXT, JOINT))


def test_image_tower_is_counted_as_xla_counts_it(shapes):
    pixels = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    found = xla_flops(encode_image, VISION, shapes["vision"], pixels)
    assert vision_flops(VISION, JOINT) == pytest.approx(found, rel=0.03)


def test_text_tower_is_counted_as_xla_counts_it(shapes):
    ids = jax.ShapeDtypeStruct((1, 256), jnp.int32)
    found = xla_flops(encode_text, TEXT, shapes["text"], ids)
    assert text_flops(TEXT, JOINT, 256) == pytest.approx(found, rel=0.03)


def test_prompts_are_counted_as_xla_counts_them(shapes):
    """Suffixes of one length, so that there is nothing to fill up."""
    ids = np.full((30, 24), 7, np.int32)
    ids[:, 0], ids[:, -1], ids[:, 5] = 98, 99, np.arange(30)
    slot = np.full_like(ids, -1)
    slot[:, 1:5] = range(4)
    layout = make_layout(ids, slot, np.full(30, 23), class_specific=False)
    context = jax.ShapeDtypeStruct((4, 512), jnp.float32)
    compiled = jax.jit(encode_prompts, static_argnums=0).lower(
        TEXT, shapes["text"], layout, context
    )
    found = compiled.compile().cost_analysis()["flops"]
    counted = prompts_flops(TEXT, JOINT, 5, np.full(30, 19))
    assert counted == pytest.approx(found, rel=0.03)
    assert step_flops(counted, 30, 8, JOINT) == 2 * counted + 4 * 8 * 30 * JOINT


@pytest.mark.parametrize(
    ("name", "published"), [("ViT-B/32", 4.4), ("ViT-B/16", 17.5), ("ViT-L/14", 81.0)]
)
def test_known_models_take_the_multiplications_published_for_them(name, published):
    config = config_of(name)
    giga = vision_flops(config.vision, config.projection) / 2e9
    assert giga == pytest.approx(published, rel=0.05)


def test_unknown_model_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="tiny"):
        config_of("ViT-X/1")


def test_configs_have_heads_of_64():
    for config in CONFIGS.values():
        for tower in (config.vision.tower, config.text.tower):
            assert tower.width == 64 * tower.heads


def test_ceiling_is_that_of_the_fastest_call(monkeypatch):
    # Begin and end of the untimed call, which takes no time at all, and of five others.
    clock = iter([0, 0, 0, 3, 10, 12, 20, 23, 30, 34, 40, 43])
    monkeypatch.setattr(ceiling.time, "perf_counter", lambda: next(clock))
    found = ceiling.matmul_ceiling("float32", 16)
    assert found == 2 * 16**3 * ceiling.CHAIN / 2


def test_ceiling_is_of_as_many_products_as_are_counted():
    start, factor = np.random.default_rng(0).standard_normal((2, 4, 4), np.float32)
    factor /= 2
    expected = start @ np.linalg.matrix_power(factor, ceiling.CHAIN)
    found = ceiling._multiply(start, factor)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

import functools

import jax
import jax.numpy as jnp
import pytest

from benchmarks.ceiling import matmul_ceiling
from benchmarks.flops import text_flops, vision_flops
from benchmarks.sizes import CONFIGS, config_of
from fdbpl_jax.clip.config import ClipConfig, TextConfig, TowerConfig, VisionConfig
from fdbpl_jax.clip.convert import param_shapes
from fdbpl_jax.clip.text import encode_text
from fdbpl_jax.clip.vision import encode_image
from fdbpl_jax.errors import UserError

# Wide enough that matrix products are nearly all there is.
TOWER = TowerConfig(512, 2, 8, 2048, "quick_gelu", 1e-5)
VISION = VisionConfig(TOWER, 64, 8)
TEXT = TextConfig(TOWER, 100, 40, 99)
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
    ids = jax.ShapeDtypeStruct((1, 32), jnp.int32)
    found = xla_flops(encode_text, TEXT, shapes["text"], ids)
    assert text_flops(TEXT, JOINT, 32) == pytest.approx(found, rel=0.03)


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


def test_ceiling_is_what_a_plain_product_does():
    size = 512
    found = matmul_ceiling("float32", size)
    # Between a thousandth of a core and more than any device has.
    assert 1e8 < found < 1e16

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.clip.vision import VisionTower, encode_image, init_vision

encode = jax.jit(encode_image, static_argnums=0)


@pytest.fixture
def pixels():
    rng = np.random.default_rng(1)
    return jnp.asarray(rng.standard_normal((3, 15, 15, 3)), jnp.float32)


def prompts(*shape):
    return jnp.asarray(np.random.default_rng(2).standard_normal(shape), jnp.float32)


@functools.partial(jax.jit, static_argnums=0)
def layer_by_layer(config, params, pixels, prompts):
    """The tower taken apart: each layer run on its own, prompts put in by hand."""
    tower = VisionTower(config, 10).bind({"params": params})
    patches = tower.patch_embedding(pixels).reshape(len(pixels), -1, config.tower.width)
    first = jnp.stack([params["class_embedding"][None]] * len(pixels))
    x = jnp.concatenate([first, patches], 1) + params["position_embedding"][None]
    tokens = x.shape[1]
    x = tower.pre_norm(jnp.concatenate([x, prompts[:, 0]], 1))
    for i in range(config.tower.layers):
        if 1 <= i < prompts.shape[1]:
            x = x.at[:, tokens:].set(prompts[:, i])
        x = tower.layers[i](x, causal=False)
    return tower.to_joint(tower.post_norm(x[:, 0]))


@pytest.mark.parametrize("layers", [1, 2])
def test_prompts_of_each_image_stand_after_the_patches(
    tiny_config, tiny_params, pixels, layers
):
    config, params = tiny_config.vision, tiny_params["vision"]
    own = prompts(3, layers, 4, 24)
    expected = layer_by_layer(config, params, pixels, own)
    np.testing.assert_allclose(
        encode(config, params, pixels, own), expected, rtol=1e-5, atol=1e-5
    )
    assert float(jnp.abs(expected - encode(config, params, pixels)).max()) > 0.01


def test_the_same_prompts_for_all_images(tiny_config, tiny_params, pixels):
    config, params = tiny_config.vision, tiny_params["vision"]
    shared = prompts(2, 4, 24)
    np.testing.assert_allclose(
        encode(config, params, pixels, shared),
        encode(config, params, pixels, jnp.stack([shared] * 3)),
        rtol=1e-6,
    )


def test_bfloat16_parameters_give_float32_features_nearby(
    tiny_config, tiny_params, pixels
):
    half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), tiny_params["vision"])
    full = encode(tiny_config.vision, tiny_params["vision"], pixels)
    low = encode(tiny_config.vision, half, pixels)
    assert low.dtype == jnp.float32
    np.testing.assert_allclose(low, full, atol=0.1 * float(jnp.abs(full).max()))


def test_random_parameters_depend_on_the_key(tiny_config):
    def kernel(seed):
        return init_vision(tiny_config.vision, 10, jax.random.key(seed))["to_joint"]

    a, b = kernel(0)["kernel"], kernel(1)["kernel"]
    assert a.shape == (24, 10)
    assert float(jnp.abs(a - b).max()) > 0

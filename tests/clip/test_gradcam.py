"""Grad-CAM with a known answer: a score that depends on one patch alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.clip.config import TowerConfig, VisionConfig
from fdbpl_jax.clip.gradcam import class_maps
from fdbpl_jax.clip.model import unit
from fdbpl_jax.clip.vision import VisionTower, encode_image, init_vision

SIDE, PATCH, WIDTH = 4, 8, 16


def tower(layers: int):
    own = TowerConfig(
        width=WIDTH,
        layers=layers,
        heads=2,
        mlp_width=32,
        activation="gelu",
        norm_eps=1e-5,
    )
    config = VisionConfig(tower=own, image_size=SIDE * PATCH, patch_size=PATCH)
    params = init_vision(config, 8, jax.random.key(0))
    # A dark patch is then a token of zeros, which says nothing to any layer.
    zero = jnp.zeros_like(params["position_embedding"])
    return config, params | {"position_embedding": zero}


def lit(*patches):
    """Dark images with noise in one patch each."""
    pixels = np.zeros((len(patches), SIDE * PATCH, SIDE * PATCH, 3), np.float32)
    for image, (row, column) in enumerate(patches):
        place = np.s_[image, row * PATCH :, column * PATCH :]
        noise = np.random.default_rng(7).normal(size=(PATCH, PATCH, 3))
        pixels[place][:PATCH, :PATCH] = noise
    return jnp.asarray(pixels)


@pytest.mark.parametrize("patch", [(0, 0), (1, 2), (3, 3)])
def test_the_patch_that_the_score_depends_on_is_all_of_the_map(patch):
    config, params = tower(layers=1)
    pixels = lit(patch, patch)
    direction = unit(jax.random.normal(jax.random.key(1), (1, 8)))
    # For one of two opposite directions the patch speaks for, for the other against.
    maps = class_maps(config, params, pixels, jnp.concatenate([direction, -direction]))
    found = np.array(maps)
    assert found[:, patch[0], patch[1]].max() > 0
    assert found[:, patch[0], patch[1]].min() == 0
    found[:, patch[0], patch[1]] = 0
    np.testing.assert_array_equal(found, 0)


def test_the_map_follows_the_formula_with_gradients_by_differences():
    config, params = tower(layers=2)
    params["position_embedding"] = 0.3 * jax.random.normal(
        jax.random.key(5), params["position_embedding"].shape
    )
    pixels = jax.random.normal(jax.random.key(2), (1, SIDE * PATCH, SIDE * PATCH, 3))
    text = unit(jax.random.normal(jax.random.key(3), (1, 8)))
    tokens = before_last(config, params, pixels)
    channel = np.array(
        [
            # Moving a channel of all patches alike moves the score by the sum of the
            # patches' gradients, which are P times their mean.
            difference(config, params, tokens, text, k) / SIDE**2
            for k in range(WIDTH)
        ]
    )
    expected = np.maximum(np.asarray(tokens)[0, 1:] @ channel, 0).reshape(SIDE, SIDE)
    found = class_maps(config, params, pixels, text)[0]
    assert expected.max() > 1e-4
    np.testing.assert_allclose(found, expected, atol=2e-2 * expected.max())


def before_last(config, params, pixels):
    """What the last layer is given: the output of the tower's first layer."""
    module = VisionTower(config, 8)

    def run(self):
        patches = self.patch_embedding(pixels).reshape(1, SIDE**2, WIDTH)
        first = jnp.broadcast_to(self.class_embedding, (1, 1, WIDTH))
        x = jnp.concatenate([first, patches], axis=1) + self.position_embedding[None]
        return self.layers[0](self.pre_norm(x), causal=False)

    return module.apply({"params": params}, method=run)


def difference(config, params, tokens, text, channel, step=1e-2):
    module = VisionTower(config, 8)

    def run(self, x):
        return self.to_joint(self.post_norm(self.layers[1](x, causal=False)[:, 0]))

    def score(shift):
        moved = tokens.at[:, 1:, channel].add(shift)
        feature = module.apply({"params": params}, moved, method=run)
        return float(jnp.sum(unit(feature) * text))

    return (score(step) - score(-step)) / (2 * step)


def test_the_tower_itself_is_unchanged_and_can_be_compiled():
    config, params = tower(layers=2)
    pixels = lit((1, 1), (2, 2))
    text = unit(jax.random.normal(jax.random.key(1), (2, 8)))
    compiled = jax.jit(class_maps, static_argnums=0)(config, params, pixels, text)
    plain = class_maps(config, params, pixels, text)
    np.testing.assert_allclose(compiled, plain, atol=1e-6)
    assert encode_image(config, params, pixels).shape == (2, 8)
    assert set(params) == set(init_vision(config, 8, jax.random.key(0)))
    assert dataclasses.is_dataclass(config)

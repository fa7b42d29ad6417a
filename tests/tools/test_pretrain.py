import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.clip import model
from fdbpl_jax.shapes import embedded, render, world
from tools.pair import pool, pretrain, train


def test_augment_on_device_is_the_condition(monkeypatch):
    monkeypatch.setattr(render, "PIXEL_NOISE", 0.0)
    monkeypatch.setattr(render, "COLOUR_CAST", 0.0)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (world.IMAGE_SIZE, world.IMAGE_SIZE, 3), np.uint8)
    every = np.arange(len(pool.CONDITIONS))
    seen = pool.augment(
        jnp.tile(image[None], (len(every), 1, 1, 1)),
        jnp.asarray(every),
        jax.random.key(0),
        jnp.float32(1.0),
        world.IMAGE_SIZE,
    )
    wanted = np.stack([c.pixels(image) for c in pool.CONDITIONS])
    np.testing.assert_allclose(np.asarray(seen), wanted, atol=0.5)


def test_augment_photographs_as_the_renderer_does():
    """Grey scenes, plain condition, uncut: the cast and the noise are all there is."""
    size = world.IMAGE_SIZE
    scenes = jnp.full((64, size, size, 3), 128, jnp.uint8)
    plain = jnp.zeros(64, jnp.int32)
    key = jax.random.key(0)
    seen = np.asarray(pool.augment(scenes, plain, key, jnp.float32(1.0), size)) - 128
    cast = seen.mean((1, 2))
    assert 0.8 * render.COLOUR_CAST < np.abs(cast).max() < 1.05 * render.COLOUR_CAST
    noise = (seen - cast[:, None, None]).std()
    assert abs(noise - render.PIXEL_NOISE) < 0.05 * render.PIXEL_NOISE


def test_batches_come_under_every_condition():
    pictures = pool.Pictures(np.zeros((145, 2, 2, 3), np.uint8), np.arange(145))
    rng = np.random.default_rng(0)
    _, condition = pool.draw_batch(rng, pictures, np.zeros(400, np.int32))
    assert np.bincount(condition, minlength=len(pool.CONDITIONS)).min() > 60


def test_pretraining_pictures_are_no_data_set_pictures():
    pictures = pool.draw_pictures(1, seed=0)
    assert pictures.pixels.shape == (145, world.IMAGE_SIZE, world.IMAGE_SIZE, 3)
    assert (pictures.look == np.arange(145)).all()
    again = pool.draw_pictures(1, seed=0)
    np.testing.assert_array_equal(pictures.pixels, again.pixels)


@pytest.mark.slow
def test_a_short_training_learns_and_is_saved(tmp_path, monkeypatch):
    small = pretrain.Recipe(32, 1, 32, 1, 32, 1, learning_rate=5e-3, batch_size=64)
    losses = []
    monkeypatch.setitem(pretrain.RECIPES, "student", small)
    monkeypatch.setattr(train, "_CAPTIONS", 8)
    monkeypatch.setattr(pretrain, "_LOG_EVERY", 60)
    monkeypatch.setattr(
        pretrain, "_log", lambda done, steps, seen, _: losses.extend(seen)
    )
    train.train_pair(tmp_path, embedded("teacher"), ["student"], steps=60, per_look=4)
    values = [float(loss) for loss in losses]
    assert np.mean(values[-10:]) < np.mean(values[:10]) - 0.3
    saved = model.load_clip(str(tmp_path / "student"))
    assert model.text_features(saved, ["a photo of a red"]).shape == (1, 32)

"""Contrastive pretraining of one tiny CLIP on the shapes world."""

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
from absl import logging
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from fdbpl_jax.clip import config as clip_config
from fdbpl_jax.clip import image, text, vision
from fdbpl_jax.clip.convert import init_clip
from tools.pair import pool

IMAGE_SIZE = 32  # pixels, of both towers' input
PATCH_SIZE = 8
SETTINGS = image.ImageSettings(IMAGE_SIZE)
_MAX_LOGIT_SCALE = np.log(100.0)  # as CLIP clips it
_LOOKS = 64  # told apart in a step
_LOG_EVERY = 100  # steps


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One model's size and how long it is trained."""

    vision_width: int
    vision_layers: int
    text_width: int
    text_layers: int
    projection: int
    steps: int
    learning_rate: float
    batch_size: int = 256
    seed: int = 0


RECIPES = {
    "student": Recipe(32, 3, 64, 2, 48, steps=2500, learning_rate=3e-3),
    "teacher": Recipe(64, 3, 64, 2, 64, steps=3000, learning_rate=3e-3),
}


def make_config(recipe: Recipe, vocabulary: int) -> clip_config.ClipConfig:
    """The model of a recipe; heads are 32 wide, the last token is EOS."""

    def tower(width: int, layers: int) -> clip_config.TowerConfig:
        return clip_config.TowerConfig(
            width, layers, width // 32, 4 * width, "quick_gelu", 1e-5
        )

    return clip_config.ClipConfig(
        vision=clip_config.VisionConfig(
            tower(recipe.vision_width, recipe.vision_layers), IMAGE_SIZE, PATCH_SIZE
        ),
        text=clip_config.TextConfig(
            tower(recipe.text_width, recipe.text_layers), vocabulary, 77, vocabulary - 1
        ),
        projection=recipe.projection,
    )


def pretrain(
    recipe: Recipe,
    config: clip_config.ClipConfig,
    pictures: pool.Pictures,
    captions: Int[np.ndarray, "V K T"],
) -> dict[str, Any]:
    """Train a model from scratch.

    A step sees one caption of each of a few looks, and pictures of these alone, so the
    softmax of a picture over the captions is CLIP's loss without its false negatives.

    Args:
      recipe: how long, how fast.
      config: of the model.
      pictures: to draw the batches from.
      captions: token ids of K captions for each look, and at last for nothing.

    Returns: the parameters.
    """
    rng = np.random.default_rng(recipe.seed)
    optimiser = _optimiser(recipe)
    params = init_clip(config, jax.random.key(recipe.seed))
    step = _make_step(config, optimiser)
    state = (params, optimiser.init(params))
    started, losses = time.monotonic(), []
    for i in range(recipe.steps):
        looks = rng.permutation(len(captions))[:_LOOKS]
        said = captions[looks, rng.integers(captions.shape[1], size=_LOOKS)]
        answer = rng.integers(_LOOKS, size=recipe.batch_size)
        pixels, condition = pool.draw_batch(rng, pictures, looks[answer])
        # Whole pictures first: crops of things not yet known teach little.
        uncut = jnp.float32(max(0.4, 1.0 - 1.2 * i / recipe.steps))
        key = jax.random.fold_in(jax.random.key(recipe.seed + 1), i)
        *state, loss = step(*state, pixels, condition, said, answer, uncut, key)
        losses.append(loss)
        if (i + 1) % _LOG_EVERY == 0:
            _log(i + 1, recipe.steps, losses, started)
    return state[0]


def _log(done: int, steps: int, losses: list[Array], started: float) -> None:
    rate = done / (time.monotonic() - started)
    loss = float(np.mean(losses[-_LOG_EVERY:]))
    left = (steps - done) / rate
    logging.info(
        "step %d/%d loss %.3f, %.1f steps/s, %.0f s left", done, steps, loss, rate, left
    )


def _optimiser(recipe: Recipe) -> optax.GradientTransformation:
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, recipe.learning_rate, 1 + recipe.steps // 20, recipe.steps + 1
    )
    muon = optax.contrib.muon(
        schedule,
        weight_decay=0.02,
        consistent_rms=0.2,  # steps as large as Adam's
        adam_b2=0.98,
        muon_weight_dimension_numbers=_kernels,
    )
    return optax.chain(optax.clip_by_global_norm(1.0), muon)


def _kernels(params: dict[str, Any]) -> dict[str, Any]:
    """Dense kernels go to Muon, everything else (None) to Adam."""

    def choose(path: Any, leaf: Array) -> optax.contrib.MuonDimensionNumbers | None:
        dense = path[-1].key == "kernel" and leaf.ndim == 2
        return optax.contrib.MuonDimensionNumbers() if dense else None

    return jax.tree_util.tree_map_with_path(choose, params)


def _make_step(
    config: clip_config.ClipConfig, optimiser: optax.GradientTransformation
) -> Any:
    @jax.jit
    def step(
        params: dict[str, Any],
        state: Any,
        pixels: UInt8[Array, "B H W 3"],
        condition: Int[Array, " B"],
        said: Int[Array, "V T"],
        answer: Int[Array, " B"],
        uncut: Float[Array, ""],
        key: PRNGKeyArray,
    ) -> tuple[dict[str, Any], Any, Float[Array, ""]]:
        views = pool.augment(pixels, condition, key, uncut, IMAGE_SIZE)
        loss, grads = jax.value_and_grad(_loss)(params, config, views, said, answer)
        updates, state = optimiser.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    return step


def _loss(
    params: dict[str, Any],
    config: clip_config.ClipConfig,
    pixels: Float[Array, "B S S 3"],
    said: Int[Array, "V T"],
    answer: Int[Array, " B"],
) -> Float[Array, ""]:
    mean, std = (jnp.array(x)[None, None, None] for x in (SETTINGS.mean, SETTINGS.std))
    scaled = (pixels / 255 - mean) / std  # never rounded to whole grey levels
    images = _unit(vision.encode_image(config.vision, params["vision"], scaled))
    texts = _unit(text.encode_text(config.text, params["text"], said))
    scale = jnp.exp(jnp.minimum(params["logit_scale"], _MAX_LOGIT_SCALE))
    logits = scale * images @ texts.T
    return optax.softmax_cross_entropy_with_integer_labels(logits, answer).mean()


def _unit(x: Float[Array, "N D"]) -> Float[Array, "N D"]:
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)

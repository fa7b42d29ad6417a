"""A small random text tower and random stored regions, for tests of training."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from fdbpl_jax.clip.config import ClipConfig, TextConfig, TowerConfig, VisionConfig
from fdbpl_jax.clip.image import ImageSettings
from fdbpl_jax.clip.layout import make_layout
from fdbpl_jax.clip.text import init_text
from fdbpl_jax.config import FdbplConfig, OptimConfig, TermConfig
from fdbpl_jax.learners.coop import ContextPrompt
from fdbpl_jax.learners.learner import Prompts, Student
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.training.schedule import schedule_of
from fdbpl_jax.training.state import (
    Frozen,
    Hyper,
    RegionBatch,
    StepSetup,
    hyper_parameters,
)

CLASSES, KEPT, WIDTH, JOINT, LENGTH = 4, 3, 8, 6, 2
TOWER = TowerConfig(
    width=WIDTH, layers=2, heads=2, mlp_width=16, activation="gelu", norm_eps=1e-5
)
VISION = VisionConfig(dataclasses.replace(TOWER, width=12, heads=3), 16, 8)
TEXT = TextConfig(tower=TOWER, vocab_size=20, context_length=12, eos_token_id=19)


def setup_of(method: str, **optim) -> StepSetup:
    settings = OptimConfig(epochs=4, batch_size=5, warmup_epochs=0)
    return StepSetup(
        student=Student(ClipConfig(VISION, TEXT, JOINT), ImageSettings(16)),
        classes=CLASSES,
        method=METHODS[method],
        schedule=schedule_of(dataclasses.replace(settings, **optim), 3),
        batch_size=5,
        averaging=None,
        terms=TermConfig(),
        sparse_weight=METHODS[method].loss.sparse_weight,
        label="mr",
    )


def layout():
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 18, (CLASSES, 7)).astype(np.int32)
    slot = np.full_like(ids, -1)
    slot[:, 1 : 1 + LENGTH] = range(LENGTH)
    ids[:, 0], ids[:, -1] = 18, 19
    return make_layout(ids, slot, np.full(CLASSES, 6), class_specific=False)


def frozen() -> Frozen:
    params = init_text(TEXT, JOINT, jax.random.key(1))
    scale = jnp.float32(5.0)
    return Frozen({"text": params}, scale, layout(), None, None, None)


def hyper(lr: float = 0.1, **weights) -> Hyper:
    return hyper_parameters(lr, FdbplConfig(**weights))


def prompts(setup: StepSetup, seed: int = 0) -> Prompts:
    contexts = [
        ContextPrompt(0.1 * jax.random.normal(key, (LENGTH, WIDTH)))
        for key in jax.random.split(jax.random.key(seed), 2)
    ]
    return Prompts(*contexts[: 2 if setup.method.loss.negative else 1])


def regions(steps: int, batch: int, seed: int = 0) -> RegionBatch:
    rng = np.random.default_rng(seed)
    feature = rng.normal(size=(steps, batch, JOINT))
    feature /= np.linalg.norm(feature, axis=-1, keepdims=True)
    index = np.stack([rng.permutation(CLASSES)[:KEPT] for _ in range(steps * batch)])
    prob = -np.sort(-rng.dirichlet(np.ones(KEPT + 1), steps * batch)[:, :KEPT])
    return RegionBatch(
        feature=feature.astype(np.float16),
        label=rng.integers(CLASSES, size=(steps, batch)).astype(np.int32),
        label_index=index.reshape(steps, batch, KEPT).astype(np.int32),
        label_prob=prob.reshape(steps, batch, KEPT).astype(np.float16),
        entropy=rng.uniform(0, np.log(CLASSES), (steps, batch)).astype(np.float32),
    )

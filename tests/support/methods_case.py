"""A small random student and one batch, for tests of any method."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from fdbpl_jax.clip.config import ClipConfig, TextConfig, TowerConfig, VisionConfig
from fdbpl_jax.clip.image import ImageSettings, normalise
from fdbpl_jax.clip.layout import make_layout, make_name_list
from fdbpl_jax.clip.model import unit
from fdbpl_jax.clip.text import init_text
from fdbpl_jax.clip.vision import encode_image, init_vision
from fdbpl_jax.config import FdbplConfig, OptimConfig, TermConfig
from fdbpl_jax.learners import cocoop, maple, promptkd
from fdbpl_jax.learners.coop import ContextPrompt
from fdbpl_jax.learners.learner import Prompts, Student, init_linear
from fdbpl_jax.learners.vision import VPT, IvlpPrompt, VptPrompt
from fdbpl_jax.losses.loss import Batch
from fdbpl_jax.methods.table import Method
from fdbpl_jax.ril.labels import entropy, information_weight
from fdbpl_jax.training.schedule import schedule_of
from fdbpl_jax.training.state import Frozen, StepSetup, hyper_parameters

CLASSES, BATCH, JOINT, TEACHER, LENGTH, TOKENS = 5, 6, 32, 9, 3, 2
TEXT = TextConfig(TowerConfig(16, 4, 2, 28, "quick_gelu", 1e-5), 40, 77, 39)
VISION = VisionConfig(TowerConfig(24, 3, 3, 40, "quick_gelu", 1e-5), 16, 8)
CONFIG = ClipConfig(VISION, TEXT, JOINT)
STUDENT = Student(CONFIG, ImageSettings(16))
SCALE = 12.0
WEIGHTS = FdbplConfig(
    lambda_neg=0.7, lambda_diff1=0.3, lambda_diff2=2.0, alpha=1.5, delta=0.2
)
TERMS = TermConfig(kgcoop=3.0, promptsrc_mean=2.0, promptsrc_std=1.0)


def normal(seed, *shape, scale=1.0):
    values = scale * np.random.default_rng(seed).standard_normal(shape)
    return jnp.asarray(values, jnp.float32)


def shaken(params, seed):
    """Norms and biases start at exactly 1 and 0: not here."""
    leaves, tree = jax.tree.flatten(params)
    moved = [
        leaf + normal([seed, place], *leaf.shape, scale=0.1)
        for place, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(tree, moved)


def towers():
    return {
        "text": shaken(init_text(TEXT, JOINT, jax.random.key(0)), 1),
        "vision": shaken(init_vision(VISION, JOINT, jax.random.key(2)), 3),
    }


def texts(length=LENGTH, classes=CLASSES):
    """Ids, context slots and EOS of prompts with names of several lengths."""
    rng = np.random.default_rng(4)
    ids = np.zeros((classes, 77), np.int32)
    slot = np.full_like(ids, -1)
    own = 1 + np.arange(classes) % 4
    ids[:, 0] = 38
    slot[:, 1 : 1 + length] = range(length)
    for row, words in enumerate(own):
        name = slice(1 + length, 1 + length + words)
        ids[row, name] = rng.integers(1, 38, words)
        ids[row, name.stop] = 39
    return ids, slot, 1 + length + own


def layout(length=LENGTH, classes=CLASSES):
    return make_layout(*texts(length, classes), class_specific=False)


def learned(learner):
    """What a learner learns, all of it away from zero."""
    return LEARNED[learner.name]()


def context():
    return normal(5, LENGTH, 16, scale=0.1)


def deep():
    return normal(6, 2, LENGTH, 16, scale=0.1)


def vision():
    return normal(7, 3, TOKENS, 24, scale=0.3)


def learned_cocoop():
    first, second = jax.random.split(jax.random.key(8))
    down, up = init_linear(first, JOINT, 2), init_linear(second, 2, 16)
    return cocoop.CocoopPrompt(context(), down, up)


def learned_maple():
    """As deep as the text tower, which is deeper than the image tower."""
    couple = shaken(maple.init_couple(jax.random.key(9), 4, 16, 24), 10)
    return maple.MaplePrompt(context(), couple, normal(6, 3, LENGTH, 16, scale=0.1))


def learned_promptkd():
    projector = promptkd.init_projector(jax.random.key(11), JOINT, TEACHER)
    return promptkd.PromptkdPrompt(vision(), shaken(projector, 12))


LEARNED = {
    "coop": lambda: ContextPrompt(context()),
    "cocoop": learned_cocoop,
    "vpt": lambda: VptPrompt(vision()),
    "maple": learned_maple,
    "ivlp": lambda: IvlpPrompt(context(), vision(), deep()),
    "promptkd": learned_promptkd,
}


def prompts_of(method: Method) -> Prompts:
    negative = None
    if method.loss.negative:
        negative = ContextPrompt(normal(13, LENGTH + 1, 16, scale=0.1))
    return Prompts(learned(method.learner), negative)


def running_of(method: Method):
    init_running = method.learner.init_running
    return init_running(TEACHER) if init_running else None


def pixels(seed=14):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.integers(256, size=(BATCH, 16, 16, 3)), jnp.uint8)


def normalised(raw):
    return normalise(STUDENT.image, raw)


def batch_of(method: Method, params, seed=14) -> Batch:
    """Pixels or frozen features, labels, and a teacher that is not too sure."""
    raw = pixels(seed)
    teacher = jax.nn.softmax(normal([15, seed], BATCH, CLASSES, scale=1.5))
    label = jnp.asarray(np.random.default_rng(seed).integers(CLASSES, size=BATCH))
    weight = information_weight(entropy(teacher), CLASSES)
    feature = None
    if not method.learner.prompts_images:
        feature = unit(encode_image(VISION, params["vision"], normalised(raw)))
    prompted = raw if method.learner.prompts_images else None
    return Batch(feature, label.astype(jnp.int32), teacher, weight, prompted)


def fixed_text(method: Method):
    """Features of classes that are not learned, and hand-written ones."""
    width = TEACHER if method.learner is promptkd.PROMPTKD else JOINT
    return unit(normal(16, CLASSES, width)), unit(normal(17, CLASSES, width))


def learns_text(method: Method) -> bool:
    return method.learner not in (VPT, promptkd.PROMPTKD)


def frozen_of(method: Method, params) -> Frozen:
    classes, written = fixed_text(method)
    return Frozen(
        towers=params,
        scale=jnp.float32(SCALE),
        layout=layout() if learns_text(method) else None,
        negative=layout(LENGTH + 1) if method.loss.negative else None,
        classes=None if learns_text(method) else classes,
        written=written if method.regularizer else None,
    )


def hyper():
    return hyper_parameters(0.05, WEIGHTS)


def setup_of(method: Method, **optim) -> StepSetup:
    settings = OptimConfig(epochs=4, batch_size=BATCH, lr=0.05, warmup_epochs=0)
    averages = method.regularizer is not None and method.regularizer.averages
    return StepSetup(
        student=STUDENT,
        classes=CLASSES,
        method=method,
        schedule=schedule_of(dataclasses.replace(settings, **optim), 3),
        batch_size=BATCH,
        terms=TERMS,
        averaging=(TERMS.promptsrc_mean, TERMS.promptsrc_std) if averages else None,
        sparse_weight=method.loss.sparse_weight,
        label="mr",
    )


def name_list(names):
    return make_name_list(layout(classes=names))

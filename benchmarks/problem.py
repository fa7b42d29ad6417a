"""Class prompts of a given size, the same for all sides of a comparison.

No weights or vocabulary are needed: speed depends only on shapes and on the number of
tokens per class name. These lengths are ImageNet's.
"""

import dataclasses
import types
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from fdbpl_jax.clip.config import ClipConfig, TextConfig
from fdbpl_jax.clip.image import ImageSettings
from fdbpl_jax.clip.layout import make_layout
from fdbpl_jax.clip.text import init_text
from fdbpl_jax.config import FdbplConfig, OptimConfig, TermConfig
from fdbpl_jax.device import tower_dtype
from fdbpl_jax.learners.coop import ContextPrompt
from fdbpl_jax.learners.learner import Prompts, Student
from fdbpl_jax.methods.published import published_terms
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.training.schedule import schedule_of
from fdbpl_jax.training.state import (
    Frozen,
    Hyper,
    RegionBatch,
    StepSetup,
    hyper_parameters,
)

CONTEXT = 4  # learnable tokens, after SOS: "a photo of a"
KEPT = 20  # labels of a stored region, the paper's K
SCALE = 100.0  # exp(logit_scale) of OpenAI's models

# Number of ImageNet's 1000 class names, in the wording of CLIP's authors, by their
# number of byte-pair tokens.
NAME_LENGTHS: Mapping[int, int] = types.MappingProxyType(
    {1: 246, 2: 508, 3: 155, 4: 49, 5: 24, 6: 9, 7: 7, 8: 1, 11: 1}
)


@dataclasses.dataclass(frozen=True)
class Problem:
    """Inputs of both sides.

    config: of the student. params: of its text tower. ids, slot: `[C T]`, T its context
    length: SOS, context slots, name, ".", EOS, zeros. eos: `[C]`. context: `[L W]`,
    its initial value.
    """

    config: ClipConfig
    params: dict
    ids: np.ndarray
    slot: np.ndarray
    eos: np.ndarray
    context: np.ndarray

    @property
    def text(self) -> TextConfig:
        """The text tower."""
        return self.config.text

    @property
    def classes(self) -> int:
        """C."""
        return len(self.ids)


def name_lengths(classes: int, seed: int) -> Int[np.ndarray, " C"]:
    """Return tokens per name: even quantiles of ImageNet's, in random order."""
    all_lengths = np.repeat(list(NAME_LENGTHS), list(NAME_LENGTHS.values()))
    place = (np.arange(classes) + 0.5) / classes
    lengths = np.quantile(all_lengths, place, method="inverted_cdf")
    return np.random.default_rng(seed).permutation(lengths)


def random_text(text: TextConfig, joint: int, seed: int) -> dict:
    """Draw random weights of a text tower, float32."""
    init = jax.jit(init_text, static_argnums=(0, 1))
    return init(text, joint, jax.random.key(seed))


def make_problem(config: ClipConfig, classes: int, seed: int, params: dict) -> Problem:
    """Draw name tokens, an initial context and the weights of a text tower."""
    text = config.text
    rng = np.random.default_rng(seed)
    lengths = name_lengths(classes, seed)
    ids = np.zeros((classes, text.context_length), np.int32)
    slot = np.full_like(ids, -1)
    ids[:, 0] = text.eos_token_id - 1
    slot[:, 1 : 1 + CONTEXT] = np.arange(CONTEXT)
    eos = 1 + CONTEXT + lengths + 1
    for row, length in enumerate(lengths):
        name = slice(1 + CONTEXT, 1 + CONTEXT + length)
        ids[row, name] = rng.integers(2, text.eos_token_id - 1, length)
        ids[row, name.stop] = 1  # "."
        ids[row, eos[row]] = text.eos_token_id
    context = 0.02 * rng.standard_normal((CONTEXT, text.tower.width))
    return Problem(config, params, ids, slot, eos, context.astype(np.float32))


def make_frozen(problem: Problem) -> Frozen:
    """What our step reads, in the dtype that users get."""
    params = jax.tree.map(lambda p: p.astype(tower_dtype("")), problem.params)
    layout = make_layout(problem.ids, problem.slot, problem.eos, class_specific=False)
    return jax.device_put(
        Frozen(
            towers={"text": params},
            scale=jnp.float32(SCALE),
            layout=layout,
            negative=None,
            classes=None,
            written=None,
        )
    )


def make_hyper(optim: OptimConfig) -> Hyper:
    """Rate of `optim` and the default weights of the losses, on the device."""
    return jax.device_put(hyper_parameters(optim.lr, FdbplConfig()))


def make_prompts(problem: Problem, method: str) -> Prompts:
    """The prompts our training starts from; both branches start alike."""
    count = branch_count(method)
    return Prompts(*(ContextPrompt(jnp.array(problem.context)) for _ in range(count)))


def branch_count(method: str) -> int:
    """How many prompts a method learns."""
    return 2 if METHODS[method].loss.negative else 1


def make_setup(
    problem: Problem,
    method: str,
    optim: OptimConfig | None = None,
    steps_per_epoch: int = 25,
) -> StepSetup:
    """What our training step is compiled for, with the method's own recipe."""
    recipe = optim or METHODS[method].optim
    terms = published_terms(TermConfig(), "base2new", "")
    regularizer = METHODS[method].regularizer
    averages = regularizer is not None and regularizer.averages
    return StepSetup(
        student=Student(
            problem.config, ImageSettings(problem.config.vision.image_size)
        ),
        classes=problem.classes,
        method=METHODS[method],
        schedule=schedule_of(recipe, steps_per_epoch),
        batch_size=recipe.batch_size,
        terms=terms,
        averaging=(terms.promptsrc_mean, terms.promptsrc_std) if averages else None,
        sparse_weight=METHODS[method].loss.sparse_weight,
        label="mr",
    )


def make_batches(
    classes: int, joint: int, steps: int, batch: int, seed: int
) -> RegionBatch:
    """Draw random rows of a RIL table, on the host, with a leading axis of steps."""
    rng = np.random.default_rng(seed)
    kept = min(KEPT, classes)
    feature = _normalised(rng.standard_normal((steps, batch, joint)))
    score = rng.standard_normal((steps, batch, classes))
    index = np.argsort(-score, axis=-1)[..., :kept]
    prob = np.exp(np.take_along_axis(score, index, -1) * 3)
    return RegionBatch(
        feature=feature.astype(np.float16),
        label=rng.integers(classes, size=(steps, batch)).astype(np.int32),
        label_index=index.astype(np.int32),
        label_prob=(prob / prob.sum(-1, keepdims=True)).astype(np.float16),
        entropy=rng.uniform(0, np.log(classes), (steps, batch)).astype(np.float32),
    )


def _normalised(x: Float[np.ndarray, "*N D"]) -> Float[np.ndarray, "*N D"]:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)

"""What every loss is computed from, and the record that describes a loss."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.config import FdbplConfig, OptimConfig, TermConfig

Scalar = Float[Array, ""]
Terms = dict[str, Scalar]


OptionalArray = Any  # None where the method does not use it


class Batch(NamedTuple):
    """A batch of regions (or views) with its labels and the teacher's predictions."""

    feature: OptionalArray  # [B D], the frozen student's L2-normalised features
    label: jax.Array  # [B], the data set's class
    teacher: OptionalArray  # [B C], teacher probabilities
    weight: OptionalArray  # [B], information weight w (equation 6)
    pixels: OptionalArray = None  # [B S S 3] uint8, for prompted image towers
    chosen: OptionalArray = None  # [C], which names of a list, ascending


class ModelOutputs(NamedTuple):
    """Features of a batch and of the classes under the prompts, L2-normalised."""

    image: jax.Array  # [B D]
    text: jax.Array  # [C D]; [B C D] where the text depends on the image
    negative: OptionalArray  # [C D], under the negative prompt
    scale: jax.Array  # exp(logit_scale), that is 1/τ
    batch: Batch


class FdbplWeights(NamedTuple):
    """FDBPL's weights, float32 scalars: other values compile nothing."""

    neg: jax.Array  # λ (equation 17)
    diff1: jax.Array
    diff2: jax.Array
    alpha: jax.Array  # α (equation 13)
    delta: jax.Array  # δ (equation 16)


class LossWeights(NamedTuple):
    """Weights of loss terms."""

    fdbpl: FdbplWeights
    terms: TermConfig  # constants of the compiled step
    left_out: frozenset[str] = frozenset()  # FDBPL's terms that are not computed


NEGATIVE_TERMS = "neg", "diff1", "diff2"  # FDBPL's terms that the negative prompt has


def terms_left_out(config: FdbplConfig) -> frozenset[str]:
    """FDBPL's terms whose weight is 0."""
    lambdas = config.lambda_neg, config.lambda_diff1, config.lambda_diff2
    return frozenset(n for n, v in zip(NEGATIVE_TERMS, lambdas, strict=True) if v == 0)


def fdbpl_weights(config: FdbplConfig) -> FdbplWeights:
    """The weights of a config, on the device."""
    lambdas = config.lambda_neg, config.lambda_diff1, config.lambda_diff2
    return FdbplWeights(*map(jnp.float32, (*lambdas, config.alpha, config.delta)))


@dataclasses.dataclass(frozen=True)
class Loss:
    """A training loss and what it needs."""

    name: str
    # The value that is minimised, and its terms by name for the log.
    compute: Callable[[ModelOutputs, LossWeights], tuple[Scalar, Terms]]
    labels: bool = False  # reads the labels of the data set
    negative: bool = False  # learns a negative prompt beside the positive one
    online: bool = False  # the teacher sees every batch of pixels
    sparse_weight: bool = False  # w from the kept labels, as the released code does
    fdbpl_weights: bool = False  # weighted by `FdbplConfig`, which a sweep can vary
    term_weights: bool = False  # weighted by `TermConfig`
    # Published settings where a text context is all that is learned; None: CoOp's.
    optim: OptimConfig | None = None

"""Features, texts and labels that every loss is tested on, in NumPy's float64."""

import jax.numpy as jnp
import numpy as np

from fdbpl_jax.config import FdbplConfig, TermConfig
from fdbpl_jax.losses.loss import Batch, LossWeights, ModelOutputs, fdbpl_weights

B, C, D = 13, 5, 7
SCALE = 9.0
SETTINGS = FdbplConfig(
    lambda_neg=0.7, lambda_diff1=0.3, lambda_diff2=2.0, alpha=1.5, delta=0.2
)
TERMS = TermConfig(kgcoop=3.0, promptsrc_text=4.0, promptsrc_image=2.0, promptkd=6.0)
WEIGHTS = LossWeights(fdbpl_weights(SETTINGS), TERMS)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def softmax(logits):
    exponent = np.exp(logits - logits.max(-1, keepdims=True))
    return exponent / exponent.sum(-1, keepdims=True)


def make_case():
    rng = np.random.default_rng(0)
    feature = unit(rng.normal(size=(B, D)))
    positive, negative = unit(rng.normal(size=(2, C, D)))
    teacher = softmax(2 * rng.normal(size=(B, C)))
    label = rng.integers(C, size=B)
    entropy = -(teacher * np.log(teacher + 1e-6)).sum(-1)
    weight = np.clip(1 - entropy / np.log(C), 0, 1)
    return feature, positive, negative, teacher, label, weight


def batch_of(case):
    feature, _, _, teacher, label, weight = case
    return Batch(
        jnp.asarray(feature, jnp.float32),
        jnp.asarray(label, jnp.int32),
        jnp.asarray(teacher, jnp.float32),
        jnp.asarray(weight, jnp.float32),
    )


def outputs_of(case):
    batch = batch_of(case)
    return ModelOutputs(batch.feature, *texts(case), jnp.float32(SCALE), batch)


def texts(case):
    return [jnp.asarray(text, jnp.float32) for text in case[1:3]]


def close(actual, expected):
    np.testing.assert_allclose(float(actual), expected, rtol=2e-6, atol=1e-6)


def kl(p, q):
    return (p * np.log(p / q)).sum(-1)


def cosine(a, b):
    return (a @ b) / np.linalg.norm(a) / np.linalg.norm(b)

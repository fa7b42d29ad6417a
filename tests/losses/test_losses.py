"""Every loss against a plain NumPy transcription of its equations in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.config import FdbplConfig, TermConfig
from fdbpl_jax.losses.cross_entropy import cross_entropy
from fdbpl_jax.losses.fdbpl import fdbpl
from fdbpl_jax.losses.fdbpl_release import fdbpl_release
from fdbpl_jax.losses.kdpl import kdpl
from fdbpl_jax.losses.loss import Batch, ModelOutputs, loss_weights

B, C, D = 13, 5, 7
SCALE = 9.0
SETTINGS = FdbplConfig(
    lambda_neg=0.7, lambda_diff1=0.3, lambda_diff2=2.0, alpha=1.5, delta=0.2
)
WEIGHTS = loss_weights(SETTINGS, TermConfig())


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def softmax(logits):
    exponent = np.exp(logits - logits.max(-1, keepdims=True))
    return exponent / exponent.sum(-1, keepdims=True)


@pytest.fixture(name="case")
def _case():
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


def test_cross_entropy(case):
    feature, positive, _, _, label, _ = case
    p = softmax(SCALE * feature @ positive.T)
    expected = -np.log(p[np.arange(B), label]).mean()
    loss, _ = cross_entropy(outputs_of(case))
    close(loss, expected)


def test_kdpl_is_the_symmetric_divergence(case):
    feature, positive, _, teacher, _, _ = case
    p = softmax(SCALE * feature @ positive.T)
    expected = 0.5 * kl(teacher, p).mean() + 0.5 * kl(p, teacher).mean()
    loss, terms = kdpl(outputs_of(case))
    close(loss, expected)
    close(terms["kl_reverse"], kl(p, teacher).mean())


def test_fdbpl_follows_the_paper_equation_by_equation(case):
    feature, positive, negative, teacher, _, w = case
    p = softmax(SCALE * feature @ positive.T)
    q = softmax(SCALE * feature @ negative.T)
    y = teacher.argmax(-1)
    difference = positive - negative
    uniform = np.full_like(q, 1 / C)
    pos = (w * kl(teacher, p)).mean()
    neg = ((1 - w) * kl(uniform, q)).mean()
    s1 = np.array([cosine(feature[i], difference[y[i]]) for i in range(B)])
    diff1 = -((1 - w) * s1 + SETTINGS.alpha * w * (1 - s1)).mean()
    diff2 = sum(
        w[i]
        * w[j]
        * max(
            0,
            cosine(feature[i], difference[y[i]] - difference[y[j]]) + SETTINGS.delta,
        )
        for i in range(B)
        for j in range(B)
        if y[i] != y[j]
    ) / (B * (B - 1))
    assert diff2 > 0.01  # the case does exercise the term
    loss, terms = fdbpl(outputs_of(case), WEIGHTS)
    names = ("pos", "neg", "diff1", "diff2")
    for name, expected in zip(names, (pos, neg, diff1, diff2), strict=True):
        close(terms[name], expected)
    close(loss, pos + 0.7 * neg + 0.3 * diff1 + 2.0 * diff2)


def test_fdbpl_release_follows_the_released_code(case):
    feature, positive, negative, teacher, _, w = case
    z, z_negative = SCALE * feature @ positive.T, SCALE * feature @ negative.T
    p, q = softmax(z), softmax(z_negative)
    cos = np.array([cosine(z[i], z_negative[i]) for i in range(B)])
    expected = (
        (0.5 * w * kl(teacher, p)).mean()
        + (0.5 * w * kl(p, teacher)).mean()
        + ((1 - w) * (q * np.log(q)).sum(-1)).mean()
        + (0.001 * w * cos).mean()
    )
    loss, _ = fdbpl_release(outputs_of(case))
    close(loss, expected)


def test_gradients_are_finite_where_prompts_or_labels_coincide(case):
    """Equal prompts make D zero; a dropped class makes a label exactly zero."""
    batch = batch_of(case)
    teacher = batch.teacher.at[:, 2:].set(0)
    batch = batch._replace(teacher=teacher / teacher.sum(-1, keepdims=True))
    positive = texts(case)[0]

    def loss(positive, negative):
        features = batch.feature, positive, negative
        outputs = ModelOutputs(*features, jnp.float32(SCALE), batch)
        paper, _ = fdbpl(outputs, WEIGHTS)
        release, _ = fdbpl_release(outputs)
        return paper + release

    gradients = jax.grad(loss, argnums=(0, 1))(positive, positive)
    assert all(bool(jnp.isfinite(g).all()) for g in gradients)


def test_a_batch_of_one_class_has_no_second_order_term(case):
    batch = batch_of(case)
    batch = batch._replace(teacher=jnp.eye(C)[jnp.zeros(B, jnp.int32)])
    _, terms = fdbpl(outputs_of(case)._replace(batch=batch), WEIGHTS)
    assert float(terms["diff2"]) == 0.0


@pytest.mark.parametrize("loss", [fdbpl, fdbpl_release, kdpl, cross_entropy])
def test_text_per_image_counts_as_one_text_where_it_is_the_same(case, loss):
    outputs = outputs_of(case)
    tiled = outputs._replace(text=jnp.tile(outputs.text[None], (B, 1, 1)))
    terms, expected = (loss(x, WEIGHTS)[1] for x in (tiled, outputs))
    for name in expected:
        np.testing.assert_allclose(terms[name], expected[name], rtol=1e-5, err_msg=name)

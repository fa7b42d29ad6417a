"""Every loss against a plain NumPy transcription of its equations in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.config import FdbplConfig
from fdbpl_jax.losses.batch import Batch, Seen
from fdbpl_jax.losses.cross_entropy import cross_entropy
from fdbpl_jax.losses.fdbpl import fdbpl, loss_weights
from fdbpl_jax.losses.fdbpl_release import fdbpl_release
from fdbpl_jax.losses.kdpl import kdpl

B, C, D = 13, 5, 7
SCALE = 9.0
SETTINGS = FdbplConfig(
    lambda_neg=0.7, lambda_diff1=0.3, lambda_diff2=2.0, alpha=1.5, delta=0.2
)
WEIGHTS = loss_weights(SETTINGS)


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


def seen_of(case):
    batch = batch_of(case)
    return Seen(batch.feature, texts(case)[0], batch)


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
    loss, _ = cross_entropy(seen_of(case), jnp.float32(SCALE))
    close(loss, expected)


def test_kdpl_is_the_symmetric_divergence(case):
    feature, positive, _, teacher, _, _ = case
    p = softmax(SCALE * feature @ positive.T)
    expected = 0.5 * kl(teacher, p).mean() + 0.5 * kl(p, teacher).mean()
    loss, terms = kdpl(seen_of(case), jnp.float32(SCALE))
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
    loss, terms = fdbpl(
        seen_of(case), texts(case)[1], jnp.float32(SCALE), loss_weights(SETTINGS)
    )
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
    loss, _ = fdbpl_release(seen_of(case), texts(case)[1], jnp.float32(SCALE))
    close(loss, expected)


def test_gradients_are_finite_where_prompts_or_labels_coincide(case):
    """Equal prompts make D zero; a dropped class makes a label exactly zero."""
    batch = batch_of(case)
    teacher = batch.teacher.at[:, 2:].set(0)
    batch = batch._replace(teacher=teacher / teacher.sum(-1, keepdims=True))
    positive = texts(case)[0]

    def loss(positive, negative):
        seen = Seen(batch.feature, positive, batch)
        paper, _ = fdbpl(seen, negative, jnp.float32(SCALE), loss_weights(SETTINGS))
        release, _ = fdbpl_release(seen, negative, jnp.float32(SCALE))
        return paper + release

    gradients = jax.grad(loss, argnums=(0, 1))(positive, positive)
    assert all(bool(jnp.isfinite(g).all()) for g in gradients)


def test_a_batch_of_one_class_has_no_second_order_term(case):
    batch = batch_of(case)
    batch = batch._replace(teacher=jnp.eye(C)[jnp.zeros(B, jnp.int32)])
    seen = seen_of(case)._replace(batch=batch)
    _, terms = fdbpl(seen, texts(case)[1], jnp.float32(SCALE), WEIGHTS)
    assert float(terms["diff2"]) == 0.0


def test_text_of_each_image_counts_as_the_text_of_all_where_it_is_the_same(case):
    one, negative = seen_of(case), texts(case)[1]
    each = one._replace(text=jnp.tile(one.text[None], (B, 1, 1)))
    for objective in (
        lambda seen: fdbpl(seen, negative, jnp.float32(SCALE), WEIGHTS),
        lambda seen: fdbpl_release(seen, negative, jnp.float32(SCALE)),
        lambda seen: kdpl(seen, jnp.float32(SCALE)),
        lambda seen: cross_entropy(seen, jnp.float32(SCALE)),
    ):
        for (name, found), expected in zip(
            objective(each)[1].items(), objective(one)[1].values(), strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=name)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.errors import UserError
from fdbpl_jax.ril.labels import (
    densify,
    entropy,
    information_weight,
    keep_top,
    soft_labels,
)


def random_labels(count, classes, seed=0):
    logits = 3 * np.random.default_rng(seed).standard_normal((count, classes))
    whole = np.exp(logits)
    return (whole / whole.sum(-1, keepdims=True)).astype(np.float32)


def smoothed(p, keep):
    """Equation 4, a class at a time, in float64."""
    out = np.zeros(p.shape, np.float64)
    for row, label in zip(out, p.astype(np.float64), strict=True):
        kept = sorted(range(len(label)), key=lambda c: (-label[c], c))[:keep]
        rest = (1 - sum(label[c] for c in kept)) / max(1, len(label) - keep)
        for c in range(len(label)):
            row[c] = label[c] if c in kept else rest
    return out


def renormalised(p, keep):
    """Equation 5, a class at a time, in float64."""
    out = np.zeros(p.shape, np.float64)
    for row, label in zip(out, p.astype(np.float64), strict=True):
        kept = sorted(range(len(label)), key=lambda c: (-label[c], c))[:keep]
        for c in kept:
            row[c] = label[c] / sum(label[k] for k in kept)
    return out


@pytest.mark.parametrize("keep", [1, 3, 6, 7])
@pytest.mark.parametrize(("kind", "equation"), [("ms", smoothed), ("mr", renormalised)])
def test_densify_is_the_equation(kind, equation, keep):
    p = random_labels(9, 7)
    dense = jax.jit(densify, static_argnums=(2, 3))(*keep_top(p, keep), 7, kind)
    np.testing.assert_allclose(dense, equation(p, keep), atol=1e-6)
    np.testing.assert_allclose(dense.sum(-1), 1, atol=1e-5)


def test_smoothing_with_all_kept_is_the_label_itself():
    p = random_labels(4, 5)
    with jax.debug_nans(True):  # nothing is left to share, among no one
        dense = densify(*keep_top(p, 5), 5, "ms")
    np.testing.assert_array_equal(dense, p)


def test_smoothing_never_shares_out_less_than_nothing():
    # Rounded up to float16, kept probabilities can sum to more than 1.
    index, prob = jnp.array([[0, 1]]), jnp.array([[0.9004, 0.1001]], jnp.float16)
    assert (densify(index, prob, 4, "ms") >= 0).all()


def test_full_keeps_every_probability_and_refuses_fewer():
    p = random_labels(4, 5)
    np.testing.assert_array_equal(densify(*keep_top(p, 5), 5, "full"), p)
    with pytest.raises(UserError, match="keeps 3 of 5"):
        densify(*keep_top(p, 3), 5, "full")


def test_densify_takes_any_leading_axes():
    p = random_labels(6, 5).reshape(2, 3, 5)
    dense = densify(*keep_top(p, 2), 5, "mr")
    np.testing.assert_allclose(
        dense.reshape(6, 5), renormalised(p.reshape(6, 5), 2), atol=1e-6
    )


def test_densify_refuses_an_unknown_kind():
    with pytest.raises(UserError, match=r"kind of label 'mss'.*Did you mean 'ms'"):
        densify(*keep_top(random_labels(1, 4), 2), 4, "mss")


@pytest.mark.parametrize("keep", [0, 5])
def test_more_labels_than_classes_are_refused(keep):
    with pytest.raises(UserError, match=f"{keep} labels .* of 4 classes"):
        keep_top(random_labels(1, 4), keep)


def test_keep_top_breaks_ties_by_the_lower_class():
    index, prob = keep_top(np.array([[0.1, 0.3, 0.3, 0.3]], np.float32), 2)
    np.testing.assert_array_equal(index, [[1, 2]])
    assert index.dtype == jnp.int32
    np.testing.assert_array_equal(prob, np.array([[0.3, 0.3]], np.float32))


def test_entropy_is_equation_6():
    p = random_labels(9, 7)
    expected = [-sum(q * np.log(q + 1e-6) for q in row) for row in p.astype(np.float64)]
    np.testing.assert_allclose(entropy(jnp.asarray(p)), expected, rtol=1e-5)
    assert entropy(jnp.asarray(p, jnp.float16)).dtype == jnp.float32


def test_weight_runs_from_one_for_a_sure_label_to_zero_for_an_unsure_one():
    sure, unsure = jnp.eye(7)[:1], jnp.full((1, 7), 1 / 7)
    np.testing.assert_allclose(information_weight(entropy(sure), 7), 1, atol=1e-5)
    np.testing.assert_allclose(information_weight(entropy(unsure), 7), 0, atol=1e-5)
    np.testing.assert_allclose(
        information_weight(jnp.array([1.0]), 7), 1 - 1 / np.log(7), rtol=1e-6
    )
    np.testing.assert_array_equal(information_weight(jnp.array([-1.0, 9.0]), 7), [1, 0])


def test_a_single_class_is_always_sure():
    np.testing.assert_array_equal(information_weight(jnp.array([0.0]), 1), [1.0])


def test_soft_labels_are_softmax_of_scaled_cosines():
    rng = np.random.default_rng(0)
    feature, text = rng.standard_normal((5, 8)), rng.standard_normal((6, 8))
    feature /= np.linalg.norm(feature, axis=-1, keepdims=True)
    text /= np.linalg.norm(text, axis=-1, keepdims=True)
    whole = np.exp(100 * feature @ text.T)
    whole /= whole.sum(-1, keepdims=True)
    index, prob, h = soft_labels(
        jnp.asarray(feature, jnp.float32),
        jnp.asarray(text, jnp.float32),
        np.float32(100),
        3,
    )
    order = np.argsort(-whole, axis=-1)[:, :3]
    np.testing.assert_array_equal(index, order)
    np.testing.assert_allclose(prob, np.take_along_axis(whole, order, -1), atol=1e-3)
    assert prob.dtype == jnp.float16
    np.testing.assert_allclose(h, -(whole * np.log(whole + 1e-6)).sum(-1), atol=1e-4)

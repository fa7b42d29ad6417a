"""Accuracies counted by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation import accuracy as evaluate
from fdbpl_jax.evaluation.accuracy import (
    accuracy,
    confusion_matrix,
    harmonic_mean,
    nearest_classes,
    per_class_accuracy,
)

AXES = np.eye(3, dtype=np.float32)


def _unit(rows) -> np.ndarray:
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_three_of_four_images_are_right():
    features = _unit([[2, 1, 0], [0, 5, 1], [1, 0, 0], [0, 1, 3]])
    labels = np.array([0, 1, 1, 2])  # the third image looks like class 0
    assert accuracy(features, labels, AXES) == 75.0
    predicted = nearest_classes(features, AXES)
    np.testing.assert_array_equal(
        per_class_accuracy(predicted, labels, 3), [100.0, 50.0, 100.0]
    )
    # Rows are the classes, columns what they were taken for.
    np.testing.assert_array_equal(
        confusion_matrix(predicted, labels, 3), [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    )


def test_a_class_without_images_has_no_accuracy():
    accuracies = per_class_accuracy(np.array([0, 1]), np.array([0, 0]), 3)
    np.testing.assert_array_equal(accuracies, [50.0, np.nan, np.nan])


def test_many_images_agree_with_numpy(monkeypatch):
    monkeypatch.setattr(evaluate, "_IMAGES_AT_ONCE", 64)  # several blocks and a rest
    rng = np.random.default_rng(0)
    features, text = _unit(rng.normal(size=(301, 16))), _unit(rng.normal(size=(7, 16)))
    labels = rng.integers(0, 7, 301)
    expected = 100 * np.mean(np.argmax(features @ text.T, 1) == labels)
    assert accuracy(features, labels, jnp.asarray(text)) == pytest.approx(expected)


def test_bfloat16_text_is_compared_in_float32():
    text = jnp.asarray(AXES, jnp.bfloat16)
    features = _unit([[1.0, 1.001, 0]])  # the two would be equal in bfloat16
    assert accuracy(features, np.array([1]), text) == 100.0


def test_half_precision_scores_are_float32():
    rng = np.random.default_rng(1)
    features = jnp.asarray(_unit(rng.normal(size=(301, 16))), jnp.bfloat16)
    text = jnp.asarray(_unit(rng.normal(size=(7, 16))), jnp.bfloat16)
    scores = np.asarray(features, np.float32) @ np.asarray(text, np.float32).T
    assert accuracy(features, np.argmax(scores, 1), text) == 100.0
    traced = str(jax.make_jaxpr(evaluate._nearest)(features, text))
    assert "Precision.HIGHEST" in traced  # on a CPU any precision passes the above


def test_of_equal_scores_the_lower_class_wins():
    features = _unit([[1, 1, 0]])
    assert accuracy(features, np.array([0]), AXES) == 100.0
    assert accuracy(features, np.array([1]), AXES) == 0.0


def test_nan_features_are_named():
    features, text = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)
    features[1, 0] = np.nan
    with pytest.raises(UserError, match=r"1 of 3 image features .* number 1"):
        accuracy(features, np.arange(3), text)
    text[2] = np.nan
    with pytest.raises(UserError, match=r"1 of 3 text features .* number 2"):
        accuracy(AXES, np.arange(3), text)


def test_infinite_text_is_the_users_to_mend():
    text = AXES.copy()
    text[0, 0] = np.inf
    with pytest.raises(UserError, match="text feature"):
        accuracy(AXES, np.arange(3), text)


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_that_is_no_class_is_refused(label):
    with pytest.raises(UserError, match=f"image 1 has label {label}, but there are 3"):
        accuracy(AXES, np.array([0, label, 2]), AXES)


def test_no_images_is_no_accuracy():
    with pytest.raises(UserError, match="no images"):
        accuracy(AXES[:0], np.zeros(0, int), AXES)


def test_text_that_is_not_normalised_is_a_mistake():
    text = AXES * np.array([[1.0], [1.0], [1.5]], np.float32)
    with pytest.raises(ValueError, match=r"text feature 2 has length 1.500"):
        accuracy(AXES, np.arange(3), text)


def test_harmonic_mean_by_hand():
    assert harmonic_mean(60.0, 30.0) == pytest.approx(40.0)
    assert harmonic_mean(77.35, 72.45) == pytest.approx(74.82, abs=0.005)
    assert harmonic_mean(50.0, 0.0) == 0.0
    assert harmonic_mean(0.0, 0.0) == 0.0

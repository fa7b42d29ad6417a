"""What holds for every loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.losses_case import (
    SCALE,
    SETTINGS,
    WEIGHTS,
    B,
    batch_of,
    outputs_of,
    texts,
)

from fdbpl_jax.losses.cross_entropy import cross_entropy
from fdbpl_jax.losses.fdbpl import fdbpl
from fdbpl_jax.losses.fdbpl_release import fdbpl_release
from fdbpl_jax.losses.kdpl import kdpl
from fdbpl_jax.losses.loss import ModelOutputs, fdbpl_weights


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


@pytest.mark.parametrize("loss", [fdbpl, fdbpl_release, kdpl, cross_entropy])
def test_text_per_image_counts_as_one_text_where_it_is_the_same(case, loss):
    outputs = outputs_of(case)
    tiled = outputs._replace(text=jnp.tile(outputs.text[None], (B, 1, 1)))
    terms, expected = (loss(x, WEIGHTS)[1] for x in (tiled, outputs))
    for name in expected:
        np.testing.assert_allclose(terms[name], expected[name], rtol=1e-5, err_msg=name)


def test_every_weight_is_that_of_its_setting():
    """All of them differ, so that none stands for another."""
    weights = fdbpl_weights(SETTINGS)._asdict()
    expected = {
        "neg": SETTINGS.lambda_neg,
        "diff1": SETTINGS.lambda_diff1,
        "diff2": SETTINGS.lambda_diff2,
        "alpha": SETTINGS.alpha,
        "delta": SETTINGS.delta,
    }
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        assert float(weights[name]) == pytest.approx(value), name

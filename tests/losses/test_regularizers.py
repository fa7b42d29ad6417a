"""Against a plain NumPy transcription of the equations in float64."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from support.losses_case import (
    SCALE,
    TERMS,
    WEIGHTS,
    B,
    C,
    D,
    close,
    kl,
    outputs_of,
    softmax,
    unit,
)

from fdbpl_jax.losses.regularizers import (
    KGCOOP,
    PROGRAD,
    PROMPTSRC,
    ZeroShot,
    epoch_weights,
)


@pytest.fixture(name="zero_shot")
def _zero_shot():
    """Of another image tower and of other texts."""
    rng = np.random.default_rng(1)
    return unit(rng.normal(size=(B, D))), unit(rng.normal(size=(C, D)))


def penalty(regularizer, case, zero_shot):
    frozen = ZeroShot(*(jnp.asarray(x, jnp.float32) for x in zero_shot))
    return regularizer.penalty(outputs_of(case), frozen, WEIGHTS)


def test_kgcoop_is_the_distance_of_the_texts(case, zero_shot):
    distance = 1 - np.mean(np.sum(case[1] * zero_shot[1], axis=1))
    result = penalty(KGCOOP, case, zero_shot)
    close(result.loss, TERMS.kgcoop * distance)
    close(result.terms["kgcoop"], distance)
    assert float(result.general) == 0


def test_promptsrc_holds_texts_images_and_logits(case, zero_shot):
    image, text = zero_shot
    frozen = softmax(SCALE * image @ text.T)
    p = softmax(SCALE * case[0] @ case[1].T)
    expected = {
        "promptsrc_text": np.abs(case[1] - text).mean(),
        "promptsrc_image": np.abs(case[0] - image).mean(),
        "promptsrc_logits": kl(frozen, p).sum() / p.size,
    }
    result = penalty(PROMPTSRC, case, zero_shot)
    for name, value in expected.items():
        close(result.terms[name], value)
    of_text, of_image, of_logits = expected.values()
    close(result.loss, 4.0 * of_text + 2.0 * of_image + of_logits)


def test_prograd_measures_the_distance_and_adds_nothing_to_the_loss(case, zero_shot):
    image, text = zero_shot
    frozen = softmax(SCALE * image @ text.T)
    p = softmax(SCALE * case[0] @ case[1].T)
    result = penalty(PROGRAD, case, zero_shot)
    close(result.general, kl(frozen, p).mean())
    assert float(result.loss) == 0


def test_prograd_removes_what_opposes_the_general_direction():
    general = {"a": jnp.array([2.0, 0.0]), "b": jnp.array([0.0, 3.0])}
    loss = {"a": jnp.array([-1.0, 5.0]), "b": jnp.array([4.0, 1.0])}
    for share, first in ((1.0, 0.0), (0.25, -0.75)):
        terms = dataclasses.replace(TERMS, prograd=share)
        weights = WEIGHTS._replace(terms=terms)
        made = PROGRAD.combine(loss, general, weights)
        np.testing.assert_allclose(made["a"], [first, 5.0])
        np.testing.assert_allclose(made["b"], loss["b"])  # they agree


def test_epochs_are_weighted_by_a_gaussian_that_sums_to_one():
    expected = np.exp(-0.5 * ((np.arange(1, 7) - 2.5) / 1.5) ** 2)
    weights = epoch_weights(6, 2.5, 1.5)
    np.testing.assert_allclose(weights, expected / expected.sum(), rtol=1e-6)


def test_promptsrc_alone_has_texts_of_its_own_and_averages():
    assert len(set(PROMPTSRC.templates)) == len(PROMPTSRC.templates) == 24
    assert all(template.count("{}") == 1 for template in PROMPTSRC.templates)
    assert PROMPTSRC.averages
    assert PROMPTSRC.combine is None
    for other in (KGCOOP, PROGRAD):
        assert not other.templates
        assert not other.averages
    assert KGCOOP.combine is None

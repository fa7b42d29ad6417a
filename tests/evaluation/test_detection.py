"""Measures of rejection against counting by hand, and what the scores are made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tables import unpadded

from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.detection import auroc, fpr_at_tpr, scores
from fdbpl_jax.reports.columns import rejection_texts
from fdbpl_jax.reports.facts import RunFacts
from fdbpl_jax.reports.results import Rejection
from fdbpl_jax.reports.text import markdown

SOME = st.lists(st.integers(-5, 5), min_size=1, max_size=30)


def array(values):
    return np.array(values, np.float64)


@settings(deadline=None)  # the first call imports scipy.stats
@given(SOME, SOME)
def test_auroc_is_the_share_of_pairs_in_order(kept, rejected):
    wins = sum((k > r) + (k == r) / 2 for k in kept for r in rejected)
    expected = wins / (len(kept) * len(rejected))
    assert auroc(array(kept), array(rejected)) == pytest.approx(expected)


@given(SOME, SOME, st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_fpr_is_that_of_the_highest_threshold_that_keeps_enough(kept, rejected, tpr):
    enough = [t for t in kept if np.mean(array(kept) >= t) >= tpr - 1e-12]
    expected = np.mean(array(rejected) >= max(enough))
    assert fpr_at_tpr(array(kept), array(rejected), tpr) == expected


def test_measures_of_a_case_by_hand():
    kept, rejected = array([3.0, 2.0, 1.0, 4.0]), array([0.0, 2.0])
    assert auroc(kept, rejected) == (4 + 2.5) / 8
    assert fpr_at_tpr(kept, rejected, 0.75) == 0.5
    assert fpr_at_tpr(kept, rejected) == 0.5
    assert auroc(kept, -kept) == 1.0
    assert fpr_at_tpr(kept, kept - 10) == 0.0


@pytest.mark.parametrize("wrong", [[], [1.0, np.nan], [np.inf]])
def test_nothing_to_compare_is_refused(wrong):
    for measure in (auroc, fpr_at_tpr):
        with pytest.raises(UserError, match="to be rejected"):
            measure(array([1.0]), array(wrong))
        with pytest.raises(UserError, match="to be kept"):
            measure(array(wrong), array([1.0]))


def test_scores_are_those_of_the_two_branches():
    rng = np.random.default_rng(0)
    features, positive, negative = (
        x / np.linalg.norm(x, axis=1, keepdims=True)
        for x in (rng.normal(size=(n, 6)) for n in (5, 4, 4))
    )
    found = scores(features, positive, negative, 10.0)

    def softmax(text):
        logits = np.exp(10 * features @ text.T)
        return logits / logits.sum(1, keepdims=True)

    p, n = softmax(positive), softmax(negative)
    np.testing.assert_allclose(found["max probability"], p.max(1))
    np.testing.assert_allclose(found["entropy"], (p * np.log(p)).sum(1))
    divergence = (np.log(1 / 4) - np.log(n)).mean(1)
    np.testing.assert_allclose(found["negative"], divergence)
    np.testing.assert_allclose(found["both"], found["entropy"] + divergence)


def test_a_sure_model_gives_finite_scores():
    features = np.eye(3, dtype=np.float32)
    found = scores(features, features, features[::-1].copy(), 1e4)
    assert all(np.isfinite(score).all() for score in found.values())


def test_seeds_are_one_line_of_the_report():
    found = [Rejection("d", "m", s, "regions", "both", 80.0 + s, 9.0) for s in (1, 3)]
    found.append(Rejection("d", "m", 1, "new", "both", 50.0, 95.0))
    lines = rejection_texts(found)
    assert lines[0] == ("d", "m", "regions", "both", "82.00 ± 1.41", "9.00 ± 0.00")
    assert lines[1][-2:] == ("50.00", "95.00")
    facts = RunFacts("p", "c", "d", {}, {}, "s", "t", (), "now", rejection=lines)
    line = "| d | m | regions | both | 82.00 ± 1.41 | 9.00 ± 0.00 |"
    assert line in unpadded(markdown([], facts))

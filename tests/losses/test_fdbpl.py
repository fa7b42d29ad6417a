"""Against a plain NumPy transcription of the equations in float64."""

import jax.numpy as jnp
import numpy as np
from support.losses_case import (
    SCALE,
    SETTINGS,
    WEIGHTS,
    B,
    C,
    batch_of,
    close,
    cosine,
    kl,
    outputs_of,
    softmax,
)

from fdbpl_jax.losses.fdbpl import fdbpl


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


def test_a_batch_of_one_class_has_no_second_order_term(case):
    batch = batch_of(case)
    batch = batch._replace(teacher=jnp.eye(C)[jnp.zeros(B, jnp.int32)])
    _, terms = fdbpl(outputs_of(case)._replace(batch=batch), WEIGHTS)
    assert float(terms["diff2"]) == 0.0


def test_terms_left_out_are_no_part_of_the_loss(case):
    _, terms = fdbpl(outputs_of(case), WEIGHTS)
    loss, left = fdbpl(
        outputs_of(case), WEIGHTS._replace(left_out=frozenset({"neg", "diff2"}))
    )
    assert left == {name: terms[name] for name in ("pos", "diff1")}
    assert loss == terms["pos"] + WEIGHTS.fdbpl.diff1 * terms["diff1"]
    # Without all three the negative prompt is not needed.
    alone = outputs_of(case)._replace(negative=None)
    names = frozenset({"neg", "diff1", "diff2"})
    assert fdbpl(alone, WEIGHTS._replace(left_out=names))[0] == terms["pos"]

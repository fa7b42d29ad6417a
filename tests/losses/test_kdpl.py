"""Against a plain NumPy transcription of the equations in float64."""

from support.losses_case import SCALE, TERMS, WEIGHTS, close, kl, outputs_of, softmax

from fdbpl_jax.losses.kdpl import kdpl, promptkd


def test_kdpl_is_the_symmetric_divergence(case):
    feature, positive, _, teacher, _, _ = case
    p = softmax(SCALE * feature @ positive.T)
    expected = 0.5 * kl(teacher, p).mean() + 0.5 * kl(p, teacher).mean()
    loss, terms = kdpl(outputs_of(case))
    close(loss, expected)
    close(terms["kl_reverse"], kl(p, teacher).mean())


def test_promptkd_is_the_weighted_divergence_per_class(case):
    feature, positive, _, teacher, _, _ = case
    p = softmax(SCALE * feature @ positive.T)
    expected = kl(teacher, p).sum() / p.size
    loss, terms = promptkd(outputs_of(case), WEIGHTS)
    close(terms["kl_forward"], expected)
    close(loss, TERMS.promptkd * expected)

"""Against a plain NumPy transcription of the equations in float64."""

import numpy as np
from support.losses_case import SCALE, B, close, outputs_of, softmax

from fdbpl_jax.losses.cross_entropy import cross_entropy


def test_cross_entropy(case):
    feature, positive, _, _, label, _ = case
    p = softmax(SCALE * feature @ positive.T)
    expected = -np.log(p[np.arange(B), label]).mean()
    loss, _ = cross_entropy(outputs_of(case))
    close(loss, expected)

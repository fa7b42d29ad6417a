"""Against a plain NumPy transcription of the equations in float64."""

import numpy as np
from support.losses_case import SCALE, B, close, cosine, kl, outputs_of, softmax

from fdbpl_jax.losses.fdbpl_release import fdbpl_release


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

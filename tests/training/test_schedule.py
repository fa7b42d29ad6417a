import math

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fdbpl_jax.config import OptimConfig
from fdbpl_jax.training.schedule import learning_rate, schedule_of, sgd

PUBLISHED = OptimConfig(epochs=50, lr=0.002, warmup_epochs=1, warmup_lr=1e-5)


def test_learning_rate_is_dassls_by_epoch():
    published = schedule_of(PUBLISHED, 7)

    def schedule(step):
        return learning_rate(published, PUBLISHED.lr, step)

    assert float(schedule(6)) == pytest.approx(1e-5)
    assert float(schedule(7)) == pytest.approx(0.002)
    for epoch in (1, 10, 49):
        expected = 0.002 * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / 50))
        for step in (7 * epoch, 7 * epoch + 6):
            assert float(schedule(step)) == pytest.approx(expected, rel=1e-5)
    # The last epoch's rate in a published log of CoOp.
    assert float(schedule(49 * 7)) == pytest.approx(7.885e-06, rel=1e-3)


def test_without_warm_up_the_cosine_starts_at_once():
    schedule = schedule_of(OptimConfig(warmup_epochs=0, epochs=4), 2)
    rates = [float(learning_rate(schedule, 0.1, step)) for step in range(8)]
    expected = [0.1, 0.1, *[0.05 * (1 + 2**-0.5)] * 2, 0.05, 0.05]
    np.testing.assert_allclose(rates[:6], expected, rtol=1e-6)


def test_update_is_torch_sgd():
    torch = pytest.importorskip("torch")
    optim = OptimConfig(warmup_epochs=0, epochs=5, weight_decay=0.01)
    start = np.linspace(-1, 1, 6).astype(np.float32)
    parameter = torch.nn.Parameter(torch.tensor(start))
    reference = torch.optim.SGD([parameter], lr=0.3, momentum=0.9, weight_decay=0.01)
    ours, schedule = jnp.asarray(start), schedule_of(optim, 100)
    state = sgd(schedule).init(ours)
    for step in range(5):
        reference.zero_grad()
        (parameter**3).sum().backward()
        reference.step()
        descent, state = sgd(schedule).update(3 * ours**2, state, ours)
        ours = optax.apply_updates(ours, -learning_rate(schedule, 0.3, step) * descent)
        np.testing.assert_allclose(
            ours, parameter.detach().numpy(), rtol=1e-6, err_msg=str(step)
        )


def test_updates_are_those_of_torchs_rule_by_hand():
    """Decay is added to the gradient, then the momentum's sum is descended."""
    optim = OptimConfig(warmup_epochs=0, epochs=5, weight_decay=0.1, momentum=0.8)
    schedule = schedule_of(optim, 100)
    expected, buffer = np.linspace(-1, 1, 6), np.zeros(6)
    ours = jnp.asarray(expected, jnp.float32)
    state = sgd(schedule).init(ours)
    for _ in range(4):
        buffer = 0.8 * buffer + (3 * expected**2 + 0.1 * expected)
        expected = expected - 0.3 * buffer
        descent, state = sgd(schedule).update(3 * ours**2, state, ours)
        ours = optax.apply_updates(ours, -learning_rate(schedule, 0.3, 0) * descent)
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)

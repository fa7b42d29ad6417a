import numpy as np
import pytest
from support import methods_case as case

from fdbpl_jax.learners import promptkd
from fdbpl_jax.learners.learner import Trained
from fdbpl_jax.learners.promptkd import PROMPTKD


def test_the_projector_keeps_the_running_statistics_that_torch_keeps():
    torch = pytest.importorskip("torch")
    projector = case.learned(PROMPTKD).projector
    norm = torch.nn.BatchNorm1d(case.TEACHER)
    with torch.no_grad():
        norm.weight.copy_(torch.from_numpy(np.array(projector.norm.scale)))
        norm.bias.copy_(torch.from_numpy(np.array(projector.norm.bias)))
    first, second = projector.first, projector.second

    def expected_of(hidden):
        normed = norm(torch.from_numpy(hidden)).relu().detach().numpy()
        return normed @ np.array(second.kernel) + np.array(second.bias)

    running = promptkd.init_running(case.TEACHER)
    for seed in range(3):
        feature = case.normal(40 + seed, 6, case.JOINT)
        hidden = np.array(feature @ first.kernel + first.bias[None])
        projected, running = promptkd.project_batch(projector, running, feature)
        np.testing.assert_allclose(projected, expected_of(hidden), atol=2e-5)
    np.testing.assert_allclose(running.mean, norm.running_mean, atol=1e-6)
    np.testing.assert_allclose(running.variance, norm.running_var, rtol=1e-5)
    norm.eval()
    projected = promptkd.project(projector, running, feature)
    np.testing.assert_allclose(projected, expected_of(hidden), atol=2e-5)


def test_a_tested_image_does_not_depend_on_its_batch():
    """PromptKD's batch norm goes by the running statistics then."""
    vision = case.towers()["vision"]
    trained = Trained(case.learned(PROMPTKD), promptkd.init_running(case.TEACHER))

    def features(pixels):
        encode = PROMPTKD.image_features
        return encode(case.STUDENT, vision, trained, pixels, training=False)[0]

    together = features(case.pixels())
    np.testing.assert_allclose(features(case.pixels()[:2]), together[:2], atol=2e-6)


def test_training_goes_by_the_batch_and_moves_the_running_statistics():
    vision, running = case.towers()["vision"], promptkd.init_running(case.TEACHER)
    trained = Trained(case.learned(PROMPTKD), running)
    encode = PROMPTKD.image_features
    for training in (True, False):
        args = case.STUDENT, vision, trained, case.pixels(), training
        features, after = encode(*args)
        alone, _ = encode(*args[:3], case.pixels()[:2], training)
        moved = np.abs(after.mean - running.mean).max()
        apart = np.abs(alone - features[:2]).max()
        assert (moved > 1e-3) == training
        assert (apart > 1e-2) == training

"""Classifiers of every kind of learner are served as they predict."""

import pytest
from support.exports import make_export
from support.serving import picture

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.serve.predictor import Predictor

METHODS = ("cocoop", "vpt", "maple+fdbpl", "promptkd", "promptsrc")


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_service_says_what_the_classifier_says(method, tmp_path):
    classifier = Classifier.load(make_export(tmp_path / "export", method))
    predictor = Predictor(classifier, 2)
    images = [picture(seed) for seed in range(2)]
    pixels = [predictor.prepare(image) for image in images]
    for names in ((), ("a cat", "a small dog", "bird")):
        wanted = classifier.predict(images, 3, names)
        said = predictor.predict(pixels, [names] * 2, 3)
        for got, want in zip(said, wanted, strict=True):
            assert got.labels == want.labels
            assert got.probabilities == pytest.approx(want.probabilities, abs=1e-5)
            assert got.rejection == pytest.approx(want.rejection, abs=1e-4)


@pytest.mark.slow
def test_programs_for_lists_do_not_become_many(tmp_path, monkeypatch):
    """Of CoCoOp, whose texts depend on the image, a program is for a whole list."""
    predictor = Predictor(
        Classifier.load(make_export(tmp_path / "export", "cocoop")), 1
    )
    cleared = []
    monkeypatch.setattr("jax.clear_caches", lambda: cleared.append(1))
    for n in range(100):
        predictor._of_list((f"a {n}", "b"))
        predictor._of_list((f"a {n}", "b"))
    assert len(cleared) == 2

"""Predictions in batches of fixed sizes are those of the classifier."""

import pytest
from support.exports import NAMES
from support.serving import BATCH, picture

from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation import prompted

OTHERS = ("a cat", "a dog", "a hat")


def asked(predictor, images, names):
    return predictor.predict([predictor.prepare(x) for x in images], names, 2)


def close(said, wanted):
    assert said.labels == wanted.labels
    assert said.probabilities == pytest.approx(wanted.probabilities, abs=1e-5)
    assert said.rejection == pytest.approx(wanted.rejection, abs=1e-4)


def test_a_batch_with_several_lists_of_names(predictor, classifier):
    images = [picture(seed) for seed in range(4)]
    lists = [(), OTHERS, NAMES, OTHERS[::-1]]
    for said, image, names in zip(
        asked(predictor, images, lists), images, lists, strict=True
    ):
        (wanted,) = classifier.predict([image], 2, names)
        close(said, wanted)


def test_refused_names_are_refused_for_their_image_alone(predictor, classifier):
    names = [("T-shirt", "T - shirt"), ()]
    refused, said = asked(predictor, [picture(1), picture(2)], names)
    assert isinstance(refused, UserError)
    close(said, *classifier.predict([picture(2)], 2))


def test_programs_are_for_fixed_sizes_and_lengths_of_names(predictor):
    """However many images wait, and whatever lists of as long names they bring."""
    images = [picture(seed) for seed in range(BATCH)]
    for count in range(1, BATCH + 1):
        asked(predictor, images[:count], [OTHERS] * count)
    # Texts of `OTHERS` may be kept from a test whose programs have been dropped.
    asked(predictor, images[:1], [("a cow", "a hen")])
    before = prompted._text._cache_size()
    others = ("a fly", "a car"), ("a cat", "a sun"), ("a fox", "a dog")
    for n, some in enumerate(others):
        asked(predictor, images[: n + 1], [some] * (n + 1))
    assert prompted._text._cache_size() == before


def test_images_are_encoded_at_fixed_sizes(predictor, monkeypatch):
    shapes = []

    def encode(pixels):
        shapes.append(pixels.shape[0])
        return real(pixels)

    real = predictor._encode
    monkeypatch.setattr(predictor, "_encode", encode)
    for count in range(1, BATCH + 1):
        asked(predictor, [picture()] * count, [()] * count)
    assert shapes == [1, 2, 4, 4]
    assert predictor.sizes == [1, 2, 4]

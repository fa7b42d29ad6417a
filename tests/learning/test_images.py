"""What is learned from, and what it is judged by."""

import dataclasses

import numpy as np
import pytest

from fdbpl_jax.clip.model import load_clip
from fdbpl_jax.data.types import UNLABELLED
from fdbpl_jax.errors import UserError
from fdbpl_jax.learners.learner import Models
from fdbpl_jax.learning import images as module
from fdbpl_jax.learning.images import learn_images
from fdbpl_jax.learning.options import LearnOptions
from fdbpl_jax.shapes import embedded


@pytest.fixture(scope="module", name="models")
def _models():
    return Models(*(load_clip(str(embedded(role))) for role in ("student", "teacher")))


@pytest.fixture(name="options")
def _options(own, tmp_path):
    return LearnOptions(classes=own.names, workdir=str(tmp_path))


def test_the_teacher_says_the_labels_that_nobody_gave(own, options, models):
    learned = learn_images(str(own.flat), options, models)
    assert not learned.has_labels
    assert learned.everything == learned.dataset
    assert {x.label for x in learned.dataset.train} == {UNLABELLED}
    # Names of files begin with the label; this teacher knows these classes well.
    says = [int(x.path[0]) == x.label for x in learned.dataset.val]
    assert np.mean(says) > 0.8
    assert len(says) == 18


def test_names_that_the_teacher_sees_nowhere_are_listed(
    own, options, models, monkeypatch, caplog
):
    probabilities = np.full((18, 3), 0.1)
    probabilities[:, 0], probabilities[5, 1], probabilities[7, 2] = 0.3, 0.5, 0.49
    monkeypatch.setattr(module, "_teacher_probabilities", lambda *_: probabilities)
    learn_images(str(own.flat), options, models)
    listed = f"sure of no image of 2 classes: {own.names[0]}, {own.names[2]}."
    assert listed in caplog.text


def test_shots_leave_the_validation_images(own, options, models):
    options = dataclasses.replace(options, classes=(), shots=2)
    learned = learn_images(str(own.folder), options, models)
    assert learned.has_labels
    assert len(learned.dataset.train) == 6
    assert len(learned.dataset.val) == 3
    assert len(learned.everything.train) == 9
    assert learned.everything.val == ()


def test_lonely_labels_are_not_used(own, options, models, tmp_path, caplog):
    lines = (own.half).read_text().splitlines()
    first = {line.partition(",")[2]: line for line in reversed(lines[1:])}
    rows = [
        line if line in first.values() else f"{line.partition(',')[0]},"
        for line in lines[1:]
    ]
    place = own.half.with_name("lonely.csv")
    place.write_text("\n".join([lines[0], *rows]))
    assert not learn_images(str(place), options, models).has_labels
    assert "the labels are not used" in caplog.text


def test_embedded_data_have_names_and_a_prompt_of_their_own(options, models):
    with pytest.raises(UserError, match="names and a prompt of its own"):
        learn_images("shapes-plain", options, models)

"""From a folder of images to a classifier of it."""

import dataclasses
import json
import math
import shutil

import numpy as np
import pytest

import fdbpl_jax
from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.clip.model import text_features
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments import cell
from fdbpl_jax.learning import learn as module
from fdbpl_jax.learning.learn import learn
from fdbpl_jax.learning.options import CANDIDATES, LearnOptions, epochs, methods_of
from fdbpl_jax.learning.trainings import Score, simplest_of_the_best
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.shapes import embedded


@pytest.fixture(scope="module", name="options")
def _options(tmp_path_factory):
    student, teacher = (str(embedded(role)) for role in ("student", "teacher"))
    workdir = str(tmp_path_factory.mktemp("learning"))
    methods = ("coop+fdbpl",)
    return LearnOptions(student, teacher, methods=methods, regions=2, workdir=workdir)


@pytest.fixture(scope="module", name="learned")
def _learned(own, options, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "classifier"
    return learn(str(own.folder), out, options)


def facts(learned):
    return json.loads((learned.folder / "classifier.json").read_text())


def test_public_names():
    assert fdbpl_jax.learn is learn
    assert fdbpl_jax.LearnOptions is LearnOptions


def test_the_classifier_is_of_all_classes_and_says_how_good_it_is(learned, own):
    assert learned.classifier.class_names == own.names
    assert [score.name for score in learned.scores] == ["zero-shot", "coop+fdbpl"]
    assert learned.has_labels
    assert learned.chosen.images == 3  # one of six, of each class
    loaded = Classifier.load(learned.folder)
    images = sorted(own.folder.glob("*/*.png"))
    assert [said.labels for said in loaded.predict(images)] == [
        said.labels for said in learned.classifier.predict(images)
    ]
    written = facts(learned)
    assert written["how"]["validation images"] == 3
    (accuracy,) = written["accuracies"].values()
    assert accuracy == {"percent": learned.chosen.accuracy, "images": 3}


def test_what_was_done_is_done_once(learned, own, options, tmp_path, monkeypatch):
    """A second call takes the finished trainings and makes the same classifier."""
    trained = []
    monkeypatch.setattr(cell, "train", lambda *arguments: trained.append(arguments))
    again = learn(str(own.folder), tmp_path / "again", options)
    assert trained == []
    assert again.scores == learned.scores
    tensors = [
        (x.folder / "classifier.safetensors").read_bytes() for x in (learned, again)
    ]
    assert tensors[0] == tensors[1]


def test_the_chosen_method_learns_from_everything_in_the_end(
    learned, own, options, tmp_path
):
    options = dataclasses.replace(options, keep_validation=True)
    partial = learn(str(own.folder), tmp_path / "part", options)
    assert partial.chosen == learned.chosen
    workdir = module.workdir_of(options)
    assert len(list(workdir.glob("learn/*/everything/*/*/results.jsonl"))) == 1
    contexts = [
        (x.folder / "classifier.safetensors").read_bytes() for x in (learned, partial)
    ]
    assert contexts[0] != contexts[1]
    assert (
        learned.classifier.reject_below == partial.classifier.reject_below is not None
    )


def test_hand_written_text_is_taken_where_learning_gains_nothing(
    learned, own, options, tmp_path, monkeypatch
):
    """The same prompts as a classifier: it says what the student says."""
    methods = options.methods
    monkeypatch.setattr(module, "methods_of", lambda *given, **known: methods)
    options = dataclasses.replace(options, methods=())
    zero = learn(str(own.folder), tmp_path / "zero", options)
    assert zero.chosen.name == "zero-shot"
    assert zero.scores == learned.scores
    student = zero.classifier.student
    texts = [f"a photo of a {name}." for name in own.names]
    np.testing.assert_allclose(
        zero.classifier.texts(own.names).positive,
        text_features(student, texts),
        atol=1e-6,
    )
    assert facts(zero)["how"]["chosen"] == "zero-shot"


def test_images_without_labels_follow_the_teacher(own, options, tmp_path):
    options = dataclasses.replace(options, classes=own.names)
    learned = learn(str(own.flat), tmp_path / "classifier", options)
    assert not learned.has_labels
    assert learned.chosen.name == "coop+fdbpl"
    assert learned.chosen.images == 18  # all of them are learned from
    assert learned.teacher.accuracy == 100.0  # it agrees with itself
    what = "agreement with the teacher on the training images"
    assert list(facts(learned)["accuracies"]) == [what]


class _StoppedError(Exception):
    pass


def planned(data, options, monkeypatch):
    """What would be trained."""
    plans = []

    def stop(config, plan, *rest):
        plans.append(plan)
        raise _StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(module, "share", stop)
        with pytest.raises(_StoppedError):
            learn(data, "nowhere", options)
    return plans[0]


def test_labels_that_are_there_judge_and_the_others_are_learned_from(
    own, options, monkeypatch
):
    methods = "coop", "coop+fdbpl", "upl"
    options = dataclasses.replace(options, classes=own.names, methods=methods)
    plan = planned(str(own.half), options, monkeypatch)
    coop, fdbpl, upl = (cell.dataset.train for cell in plan.cells)
    assert len(plan.dataset.val) == 3
    assert len(coop) == 6  # 9 labels, 3 of them to judge by
    assert len(fdbpl) == 15
    assert all(example.is_labelled for example in upl)
    assert {x.path for x in upl} <= {x.path for x in fdbpl}
    assert len(plan.table.train) == 18


def test_a_classifier_that_is_there_is_not_replaced(learned, own, options, monkeypatch):
    with monkeypatch.context() as patch:
        patch.delattr(module, "load_inputs")  # it is refused before any work
        with pytest.raises(UserError, match=r"exists already.*--overwrite"):
            learn(str(own.folder), learned.folder, options)
    options = dataclasses.replace(options, overwrite=True)
    assert learn(str(own.folder), learned.folder, options).scores == learned.scores


def test_what_cannot_end_well_is_refused_before_any_work(
    own, options, tmp_path, monkeypatch
):
    monkeypatch.delattr(module, "load_inputs")
    (tmp_path / "file").touch()
    for out, changes, reason in (
        (tmp_path / "file" / "x", {}, "cannot make"),
        (tmp_path / "x", {"methods": ("cop",)}, "unknown method 'cop'"),
        (tmp_path / "x", {"teacher": ""}, "own images need a CLIP"),
    ):
        with pytest.raises(UserError, match=reason):
            learn(str(own.folder), out, dataclasses.replace(options, **changes))


def test_other_images_are_another_training(own, options, tmp_path, monkeypatch):
    """Not a refusal: a user adds images and calls the same command again."""
    grown = tmp_path / "folder"
    shutil.copytree(own.folder, grown)
    before = planned(str(grown), options, monkeypatch)
    assert planned(str(grown), options, monkeypatch) == before
    first, second, *_ = sorted(grown.glob("*/3.png"))
    shutil.copy(second, first.parent / "new.png")
    after = planned(str(grown), options, monkeypatch)
    folders = [plan.cells[0].directory for plan in (before, after)]
    assert folders[0] != folders[1]


def test_a_method_must_be_able_to_learn_from_the_images(options):
    for method, reason in {
        "coop": "learns from labels, and these images have none",
        "coop+kdpl-ca": "learns from a list of other names",
        "cop": "Did you mean 'coop'",
    }.items():
        asked = dataclasses.replace(options, methods=(method,))
        with pytest.raises(UserError, match=reason):
            methods_of(asked, has_labels=False)
    asked = dataclasses.replace(options, methods=("upl", "coop+kdpl", "coop+fdbpl"))
    assert methods_of(asked, has_labels=False) == asked.methods


def test_the_candidates_read_the_one_table_and_learn_text_alone():
    for name in CANDIDATES:
        assert METHODS[name].reads_table
        assert METHODS[name].learner.context_only


def test_the_simplest_within_a_standard_error_of_the_best_is_chosen():
    def scores(*accuracies):
        return [Score(str(n), a, 100) for n, a in enumerate(accuracies)]

    assert simplest_of_the_best(scores(50.0, 60.0, 90.0)).name == "2"
    # The error of 90 % of 100 images is 3 points.
    assert simplest_of_the_best(scores(50.0, 87.1, 90.0)).name == "1"
    assert simplest_of_the_best(scores(50.0, 86.9, 90.0)).name == "2"
    assert math.isclose(scores(90.0)[0].error, 3.0)


def test_few_and_many_images_get_updates_within_bounds():
    assert epochs(images=3, batch_size=32) == 150
    assert epochs(images=800, batch_size=32) == 50
    assert epochs(images=64_000, batch_size=32) == 1

"""A classifier says of an image what the run that learned it said."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.protocol_runs import small

import fdbpl_jax
from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.clip.model import load_clip
from fdbpl_jax.data.splits import subset
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.run import run
from fdbpl_jax.experiments.settings import run_config
from fdbpl_jax.ril.table import open_table
from fdbpl_jax.shapes import embedded
from fdbpl_jax.shapes.dataset import load_shapes

METHODS = ("coop+fdbpl", "cocoop", "vpt", "maple", "promptsrc", "promptkd")


@pytest.fixture(scope="module", name="workdir")
def _workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("classifier")
    changes = {"methods": ",".join(METHODS), "data.shots": 1, "seeds": (1,)}
    run(run_config(small("base2new", **changes)), workdir, "the test")
    return workdir


def export(workdir, method) -> Path:
    cell = workdir / "base2new" / "shapes-negative" / method / "seed1"
    return cell / "export"


def halves(workdir):
    dataset = load_shapes("shapes-negative", workdir / "shapes")
    return {half: subset(dataset, half) for half in ("base", "new")}


def test_public_names_are_those_of_the_rooms():
    assert fdbpl_jax.Classifier is Classifier
    assert fdbpl_jax.load_clip is load_clip
    assert fdbpl_jax.open_table is open_table
    assert {"Classifier", "load_clip", "open_table"} <= set(dir(fdbpl_jax))
    with pytest.raises(AttributeError, match="no attribute 'Clasifier'"):
        fdbpl_jax.Clasifier  # noqa: B018


@pytest.mark.parametrize("method", METHODS)
def test_accuracy_on_the_runs_images_is_the_runs(workdir, method):
    result = json.loads((export(workdir, method).parent / "results.jsonl").read_text())
    classifier = Classifier.load(export(workdir, method))
    for half, part in halves(workdir).items():
        paths = [part.root / example.path for example in part.test]
        said = classifier.predict(paths, top=1, classes=part.class_names)
        right = [
            prediction.labels == (part.class_names[example.label],)
            for prediction, example in zip(said, part.test, strict=True)
        ]
        assert 100.0 * float(np.mean(right)) == result[half]


def test_probabilities_are_of_all_classes_and_in_order(workdir):
    classifier = Classifier.load(export(workdir, "coop+fdbpl"))
    part = halves(workdir)["base"]
    paths = [part.root / example.path for example in part.test[::200]]
    for said in classifier.predict(paths, top=99):
        assert sorted(said.labels) == sorted(classifier.class_names)
        assert sum(said.probabilities) == pytest.approx(1, abs=1e-5)
        assert list(said.probabilities) == sorted(said.probabilities, reverse=True)
    # Fewer are the first of them, with the same probabilities.
    top = classifier.predict(paths, top=2)
    assert [p.probabilities for p in top] == [
        p.probabilities[:2] for p in classifier.predict(paths)
    ]


def test_pictures_in_memory_are_files(workdir):
    classifier = Classifier.load(export(workdir, "coop+fdbpl"))
    part = halves(workdir)["base"]
    paths = [part.root / example.path for example in part.test[:3]]
    pictures = [Image.open(path) for path in paths]
    assert classifier.predict(pictures) == classifier.predict(paths)
    assert classifier.predict([]) == []


def test_rejection_is_of_methods_with_a_negative_prompt(workdir):
    part = halves(workdir)["base"]
    paths = [part.root / example.path for example in part.test[::60]]
    fdbpl = Classifier.load(export(workdir, "coop+fdbpl"))
    grey = Image.new("RGB", (64, 64), (127, 127, 127))
    *known, empty = (p.rejection for p in fdbpl.predict([*paths, grey]))
    assert empty < np.median(known)
    vpt = Classifier.load(export(workdir, "vpt"))
    assert {p.rejection for p in vpt.predict(paths)} == {None}


def test_names_that_are_one_to_clip_are_refused(workdir):
    classifier = Classifier.load(export(workdir, "coop+fdbpl"))
    grey = Image.new("RGB", (64, 64))
    with pytest.raises(UserError, match="T-shirt"):
        classifier.predict([grey], classes=["T-shirt", "T - shirt"])


def test_a_missing_or_another_model_is_named(workdir):
    with pytest.raises(UserError, match="another student than the export's"):
        Classifier.load(export(workdir, "vpt"), student=str(embedded("teacher")))
    with pytest.raises(UserError, match="another teacher than the export's"):
        Classifier.load(export(workdir, "promptkd"), teacher=str(embedded("student")))
    # Only PromptKD's prompts need the teacher.
    Classifier.load(export(workdir, "vpt"), teacher="nowhere")


def test_a_broken_picture_is_named(workdir, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    classifier = Classifier.load(export(workdir, "coop+fdbpl"))
    with pytest.raises(UserError, match=r"a\.png"):
        classifier.predict([tmp_path / "a.png"])

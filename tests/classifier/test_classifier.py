"""A classifier says of an image what the run that learned it said."""

import dataclasses
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image
from support.protocol_runs import small

import fdbpl_jax
from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.folder import write_classifier
from fdbpl_jax.classifier.made import made_of
from fdbpl_jax.classifier.tested import evaluate
from fdbpl_jax.clip.model import load_clip
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.data.splits import subset
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.detection import auroc
from fdbpl_jax.experiments.run import run
from fdbpl_jax.experiments.settings import run_config
from fdbpl_jax.methods import table
from fdbpl_jax.ril.table import open_table
from fdbpl_jax.shapes import embedded
from fdbpl_jax.shapes.dataset import load_shapes
from fdbpl_jax.training.checkpoint import export_prompts, load_prompts

METHODS = ("coop+fdbpl", "maple", "promptkd")
OTHERS = [name for name in table.METHODS if name not in METHODS]


def few(*methods: str, **more):
    changes = {"methods": ",".join(methods), "data.shots": 1, "seeds": (1,)}
    return run_config(small("base2new", **changes, **more))


@pytest.fixture(scope="module", name="workdir")
def _workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("classifier")
    run(few(*METHODS), workdir, "the test")
    return workdir


def export(workdir, method) -> Path:
    cell = workdir / "base2new" / "shapes-negative" / method / "seed1"
    return cell / "export"


def halves(workdir):
    dataset = load_shapes("shapes-negative", workdir / "shapes")
    return {half: subset(dataset, half) for half in ("base", "new")}


def images(part) -> list[Path]:
    return [part.root / example.path for example in part.test]


def test_public_names_are_those_of_the_rooms():
    assert fdbpl_jax.Classifier is Classifier
    assert fdbpl_jax.load_clip is load_clip
    assert fdbpl_jax.open_table is open_table
    assert {"Classifier", "load_clip", "open_table"} <= set(dir(fdbpl_jax))
    with pytest.raises(AttributeError, match="no attribute 'Clasifier'"):
        fdbpl_jax.Clasifier  # noqa: B018


def accuracy(classifier, part, workdir) -> float:
    return evaluate(classifier, part, workdir).accuracy.percent


def check_accuracy(workdir, method, folder=None):
    """Of the export, and of the classifier folder that is written to `folder`."""
    cell = export(workdir, method)
    result = json.loads((cell.parent / "results.jsonl").read_text())
    classifier = Classifier.load(cell)
    if folder is not None:
        write_classifier(folder, cell, made_of(cell), classifier=classifier)
        stored = Classifier.load(folder)
        for half, part in halves(workdir).items():
            assert accuracy(stored, part, workdir) == result[half]
    for half, part in halves(workdir).items():
        said = classifier.predict(images(part), top=1, classes=part.class_names)
        right = [
            prediction.labels == (part.class_names[example.label],)
            for prediction, example in zip(said, part.test, strict=True)
        ]
        assert 100.0 * float(np.mean(right)) == result[half]
        assert accuracy(classifier, part, workdir) == result[half]


@pytest.mark.parametrize("method", METHODS)
def test_accuracy_on_the_runs_images_is_the_runs(workdir, method, tmp_path):
    check_accuracy(workdir, method, tmp_path / "mine" if method == "maple" else None)


@pytest.mark.slow
@pytest.mark.parametrize("method", OTHERS)
def test_accuracy_of_other_methods_is_the_runs(tmp_path, method):
    listed = {}
    if table.METHODS[method].names is table.Names.LIST:
        listed["names.file"] = str(tmp_path / "names.txt")
        (tmp_path / "names.txt").write_text("a cat\na dog\na red square\n")
    run(few(method, **listed), tmp_path, "the test")
    check_accuracy(tmp_path, method, tmp_path / "mine")


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


def test_rejection_is_the_runs_score_of_both_prompts(workdir):
    folder = export(workdir, "coop+fdbpl")
    fdbpl = Classifier.load(folder)
    known, new = (
        np.array([said.rejection for said in fdbpl.predict(images(part))])
        for part in halves(workdir).values()
    )
    lines = msgspec.json.decode((folder.parent / "rejection.json").read_bytes())
    (line,) = (
        line
        for line in lines
        if (line["against"], line["score"]) == ("images of new classes", "both")
    )
    assert 100 * auroc(known, new) == pytest.approx(line["auroc"], abs=1e-3)
    vpt = Classifier.load(export(workdir, "maple"))
    assert {p.rejection for p in vpt.predict(images(halves(workdir)["base"])[:3])} == {
        None
    }


def test_names_that_are_one_to_clip_are_refused(workdir):
    classifier = Classifier.load(export(workdir, "coop+fdbpl"))
    grey = Image.new("RGB", (64, 64))
    with pytest.raises(UserError, match="T-shirt"):
        classifier.predict([grey], classes=["T-shirt", "T - shirt"])


def test_a_missing_or_another_model_is_named(workdir):
    with pytest.raises(UserError, match="another student than the export's"):
        Classifier.load(export(workdir, "maple"), student=str(embedded("teacher")))
    with pytest.raises(UserError, match="another teacher than the export's"):
        Classifier.load(export(workdir, "promptkd"), teacher=str(embedded("student")))
    # Only PromptKD's prompts need the teacher.
    Classifier.load(export(workdir, "maple"), teacher="nowhere")


def test_a_broken_picture_is_named(workdir, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    classifier = Classifier.load(export(workdir, "coop+fdbpl"))
    with pytest.raises(UserError, match=r"a\.png"):
        classifier.predict([tmp_path / "a.png"])


def imported(workdir, folder, **changes):
    """The export of an imported context, as `import_torch` writes it."""
    cell = workdir / "base2new" / "shapes-negative" / "coop+fdbpl" / "seed1"
    prompts, facts = load_prompts(cell / "export")
    prompt = PromptConfig(init="", **changes)
    config = {"method": "coop", "imported": "x", "prompt": dataclasses.asdict(prompt)}
    facts = {key: facts[key] for key in ("class_names", "student")}
    context = prompts["positive"]["context"]
    if prompt.class_specific:
        context = np.tile(context, (len(facts["class_names"]), 1, 1))
    export_prompts(
        folder, {"positive": {"context": context}}, {**facts, "config": config}
    )
    return Classifier.load(folder)


def test_an_imported_context_is_tested_as_ours(workdir, tmp_path):
    base = halves(workdir)["base"]
    ours = Classifier.load(export(workdir, "coop+fdbpl"))
    other = imported(workdir, tmp_path)
    assert accuracy(other, base, workdir) == accuracy(ours, base, workdir)


def test_an_import_of_an_earlier_version_has_no_words_of_its_own(workdir, tmp_path):
    """Its settings lack `init`; the default words are more than its two tokens."""
    imported(workdir, tmp_path)
    prompts, facts = load_prompts(tmp_path)
    facts["config"]["prompt"] = {
        "context_length": 2,
        "position": "end",
        "class_specific": False,
    }
    prompts["positive"]["context"] = prompts["positive"]["context"][:2]
    del facts["shapes"], facts["format"]
    export_prompts(tmp_path, prompts, facts)
    assert Classifier.load(tmp_path).opened.wording.prompt.init == ""


def test_contexts_of_single_classes_are_for_those_alone(workdir, tmp_path):
    base, new = halves(workdir).values()
    specific = imported(workdir, tmp_path, class_specific=True)
    ours = imported(workdir, tmp_path / "common")
    assert accuracy(specific, base, workdir) == accuracy(ours, base, workdir)
    with pytest.raises(UserError, match="16 single classes, which"):
        evaluate(specific, new, workdir)


@pytest.mark.parametrize("method", ["coop+fdbpl", "maple"])
def test_a_data_set_without_test_images_is_refused(workdir, method):
    classifier = Classifier.load(export(workdir, method))
    empty = dataclasses.replace(halves(workdir)["base"], test=())
    with pytest.raises(UserError, match="'shapes-negative' has no test image"):
        evaluate(classifier, empty, workdir)

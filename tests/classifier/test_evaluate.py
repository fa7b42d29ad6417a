"""`fdbpl evaluate` and `fdbpl export` on what a run has made."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.exports import make_export
from support.protocol_runs import small

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.made import made_of
from fdbpl_jax.classifier.stored import Accuracy
from fdbpl_jax.classifier.tested import Evaluated, evaluate
from fdbpl_jax.data.datasets import load_dataset
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.run import run
from fdbpl_jax.experiments.settings import run_config

ROOT = Path(__file__).resolve().parents[2]
FDBPL = "from fdbpl_jax.cli import program; program()"
COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 200, 30)}


def call(place, *words):
    return subprocess.run(
        [sys.executable, "-c", FDBPL, *map(str, words)],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module", name="workdir")
def _workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("cells")
    changes = {"methods": "coop+fdbpl", "seeds": (1,), "data.shots": 1}
    run(run_config(small("base2new", **changes)), workdir, "the test")
    return workdir


@pytest.fixture(name="cell")
def _cell(workdir):
    return workdir / "base2new" / "shapes-negative" / "coop+fdbpl" / "seed1"


@pytest.fixture(scope="module", name="photos")
def _photos(tmp_path_factory):
    """Class folders of ten images each, and the export of a classifier of them."""
    place = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (place / "data" / name).mkdir(parents=True)
        for number in range(10):
            noise = rng.integers(-20, 20, (40, 40, 3)) + np.array(colour)
            image = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
            image.save(place / "data" / name / f"{number}.png")
    make_export(place / "export", names=("red", "green", "blue"))
    return place


def test_a_cell_becomes_a_classifier_that_says_no_and_is_tested_by_its_folder(
    workdir, cell, tmp_path
):
    data = f"--data_root={workdir / 'shapes'}"
    words = cell / "export", "--reject_by=shapes-negative", data
    done = call(tmp_path, "export", *words, "--out=mine")
    assert done.returncode == 0, done.stderr
    result = json.loads((cell / "results.jsonl").read_text())
    named = "test images of shapes-negative"
    assert f"{named}, classes learned on: {result['base']:.2f} %" in done.stdout
    facts = Classifier.load(tmp_path / "mine").opened.stored.facts
    assert facts.accuracies == {
        f"{named}, classes learned on": Accuracy(result["base"]),
        f"{named}, new classes": Accuracy(result["new"]),
    }
    assert facts.data == "shapes-negative, 1 images of each class"
    assert facts.how["seed"] == 1
    assert len(facts.thresholds) == 101
    done = call(
        *(tmp_path, "evaluate", "mine", "shapes-negative", data, "--classes=new"),
        *(f"--workdir={workdir}", "--out=tables"),
    )
    assert done.returncode == 0, done.stderr
    error = Accuracy(result["new"], 960).standard_error
    said = f"(new): {result['new']:.2f} ± {error:.2f} % of 960 test images"
    assert said in done.stdout
    assert "image of" in done.stdout
    check_tables(tmp_path / "tables", result["new"])


def check_tables(folder, percent):
    with (folder / "classes.csv").open() as stream:
        classes = list(csv.DictReader(stream))
    assert [line["images"] for line in classes] == ["60"] * 16
    accuracies = [float(line["accuracy_percent"]) for line in classes]
    assert np.mean(accuracies) == pytest.approx(percent)
    with (folder / "confusion.csv").open() as stream:
        titles, *rows = csv.reader(stream)
    assert titles[1:] == [row[0] for row in rows] == [x["class"] for x in classes]
    matrix = np.array([row[1:] for row in rows], int)
    np.testing.assert_allclose(100 * np.diag(matrix) / matrix.sum(1), accuracies)
    with (folder / "predictions.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    right = [line["class"] == line["classified as"] for line in lines]
    assert 100 * np.mean(right) == pytest.approx(percent)


def test_results_of_another_cell_are_not_taken(cell, tmp_path):
    other = shutil.copytree(cell, tmp_path / "seed1")
    make_export(other / "export")
    with pytest.raises(UserError, match="is not of the export beside it"):
        made_of(other / "export")
    # An export that was copied out of its cell has no results.
    assert made_of(make_export(tmp_path / "mine")).accuracies == {}


def test_class_folders_are_tested_in_any_order_of_the_names(photos, tmp_path):
    classifier = Classifier.load(photos / "export")
    dataset = load_dataset(str(photos / "data"), Path())
    assert set(dataset.class_names) == set(classifier.class_names)
    assert dataset.class_names != classifier.class_names
    tested = evaluate(classifier, dataset, tmp_path, "all")
    paths = [photos / "data" / path for path in tested.paths]
    names = [path.parent.name for path in paths]
    assert len(names) == 30
    assert [tested.class_names[label] for label in tested.labels] == names
    said = [each.labels[0] for each in classifier.predict(paths, top=1)]
    assert [tested.class_names[guess] for guess in tested.predicted] == said
    splits = [
        len(evaluate(classifier, dataset, tmp_path, split).paths)
        for split in ("train", "val", "test")
    ]
    assert splits == [len(x) for x in (dataset.train, dataset.val, dataset.test)]


def test_what_is_confused_most_comes_first():
    labels, predicted = np.array([0, 0, 0, 1, 1, 1, 3]), np.array([0, 1, 2, 0, 0, 1, 3])
    tested = Evaluated(("a", "b", "c", "d"), ("x",) * 7, labels, predicted)
    assert tested.accuracy.percent == pytest.approx(300 / 7)
    assert tested.confused() == [("b", "a", 2), ("a", "b", 1), ("a", "c", 1)]
    shares = [each and each.percent for each in tested.by_class()]
    assert shares == pytest.approx([100 / 3, 100 / 3, None, 100.0])
    assert tested.by_class()[0].standard_error == pytest.approx(27.2166, abs=1e-4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate", "export"), "1 words are given"),
        (("evaluate", "export", "nothing"), "data set 'nothing' needs --data_root"),
        (("export", "export"), "--out is missing"),
        (("export", "nowhere", "--out=mine"), "no exported prompts in 'nowhere'"),
        (("export", "export", "--out=data"), "'data' exists and is no classifier"),
        (("export", "export", "--out=mine", "--to=onnx"), "to"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_2(photos, words, message):
    done = call(photos, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1

"""`fdbpl evaluate`, and `fdbpl export` of a cell."""

import csv
import shutil

import numpy as np
import pytest
from PIL import Image
from support.command import Command
from support.exports import make_export

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.made import made_of
from fdbpl_jax.classifier.stored import Accuracy
from fdbpl_jax.classifier.tested import Evaluated, evaluate
from fdbpl_jax.data.folder import split_folder
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.cell_files import write_results
from fdbpl_jax.reports.results import CellResult

COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 200, 30)}
RESULT = CellResult("my_colours", "coop+fdbpl", 1, 62.5, 37.5, *(0,) * 6)


@pytest.fixture(scope="module", name="place")
def _place(tmp_path_factory):
    """Class folders of ten images each, and a cell of them."""
    place = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (place / "data" / name).mkdir(parents=True)
        for number in range(10):
            noise = rng.integers(-20, 20, (40, 40, 3)) + np.array(colour)
            image = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
            image.save(place / "data" / name / f"{number}.png")
    settings = {"dataset": "my_colours", "shots": 4, "seed": 1}
    # In another order than the folders'.
    names = ("red", "green", "blue")
    make_export(place / "seed1" / "export", names=names, settings=settings)
    write_results(place / "seed1", [RESULT])
    return place


@pytest.fixture(scope="module", name="export")
def _export(place):
    command = Command("fdbpl_jax.classifier.export", place)
    yield command
    command.close()


@pytest.fixture(scope="module", name="command")
def _command(place):
    command = Command("fdbpl_jax.classifier.evaluate", place)
    yield command
    command.close()


def test_a_cell_becomes_a_classifier_that_says_no(export, place):
    done = export("seed1/export", "--reject_by=data", "--out=mine")
    assert done.returncode == 0, done.stderr
    trained, new = (
        f"test images of my_colours, {which} classes" for which in ("trained", "new")
    )
    assert f"{trained}: 62.50 %" in done.stdout
    facts = Classifier.load(place / "mine").opened.stored.facts
    assert facts.accuracies == {trained: Accuracy(62.5), new: Accuracy(37.5)}
    assert facts.data == "my_colours, 4 images of each class"
    assert facts.how["seed"] == 1
    classifier = Classifier.load(place / "mine")
    dataset = split_folder(place / "data")
    images = [dataset.root / example.path for example in dataset.val]
    scores = [said.rejection for said in classifier.predict(images)]
    assert len(images) > 3
    assert facts.thresholds[0] == min(scores)
    assert facts.thresholds[-1] == max(scores)


def test_a_cell_becomes_a_program(export, place):
    pytest.importorskip("flatbuffers")
    done = export("seed1/export", "--to=stablehlo", "--out=program")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "program: classifier.stablehlo, stablehlo.json\n"


def test_results_of_another_cell_are_not_taken(place, tmp_path):
    other = shutil.copytree(place / "seed1", tmp_path / "seed1")
    make_export(other / "export", seed=1)
    with pytest.raises(UserError, match="is not of the export beside it"):
        made_of(other / "export")
    # An export that was copied out of its cell has no results.
    shutil.copytree(place / "seed1" / "export", tmp_path / "mine")
    assert made_of(tmp_path / "mine").accuracies == {}


def test_class_folders_are_tested_in_any_order_of_the_names(place, tmp_path):
    classifier = Classifier.load(place / "seed1" / "export")
    dataset = split_folder(place / "data")
    assert set(dataset.class_names) == set(classifier.class_names)
    assert dataset.class_names != classifier.class_names
    tested = evaluate(classifier, dataset, tmp_path, "all")
    paths = [place / "data" / path for path in tested.paths]
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


def test_the_command_prints_the_accuracy_and_writes_tables(command, place, tmp_path):
    classifier = Classifier.load(place / "seed1" / "export")
    tested = evaluate(classifier, split_folder(place / "data"), tmp_path)
    done = command("seed1/export", "data", "--out=tables", "--workdir=runs")
    assert done.returncode == 0, done.stderr
    percent, error = tested.accuracy.percent, tested.accuracy.standard_error
    assert 0 < percent < 100  # else nothing is confused
    said = f"data, 3 classes (all): {percent:.2f} ± {error:.2f} % of 9 test images"
    assert said in done.stdout
    first, second, images = tested.confused()[0]
    assert [first, second, str(images)] in map(str.split, done.stdout.splitlines())
    titles, *rows = rows_of(place / "tables" / "confusion.csv")
    assert titles[1:] == [row[0] for row in rows] == list(classifier.class_names)
    matrix = np.array([row[1:] for row in rows], int)
    assert matrix.sum() == 9
    assert 100 * np.trace(matrix) / 9 == pytest.approx(percent)
    _, *classes = rows_of(place / "tables" / "classes.csv")
    assert [row[:2] for row in classes] == [[x, "3"] for x in classifier.class_names]
    shares = [float(row[2]) for row in classes]
    assert shares == pytest.approx((100 * np.diag(matrix) / 3).tolist())
    _, *images = rows_of(place / "tables" / "predictions.csv")
    assert [row[1] for row in images] == [row[0].split("/")[0] for row in images]
    assert sum(row[1] == row[2] for row in images) == np.trace(matrix)


def rows_of(file):
    with file.open() as stream:
        return list(csv.reader(stream))


def test_what_is_confused_most_comes_first():
    labels, predicted = np.array([0, 0, 0, 1, 1, 1, 3]), np.array([0, 1, 2, 0, 0, 1, 3])
    names, paths = ("a", "b", "c", "d"), ("x",) * 7
    tested = Evaluated(names, paths, labels, predicted)
    assert tested.accuracy.percent == pytest.approx(300 / 7)
    assert tested.confused() == [("b", "a", 2), ("a", "b", 1), ("a", "c", 1)]
    shares = [each and each.percent for each in tested.by_class()]
    assert shares == pytest.approx([100 / 3, 100 / 3, None, 100.0])
    assert tested.by_class()[0].standard_error == pytest.approx(27.2166, abs=1e-4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("export",), "1 words are given"),
        (("seed1/export", "nothing"), "data set 'nothing' needs --data_root"),
        (("nowhere", "data"), "no exported prompts in 'nowhere'"),
        (("seed1/export", "data", "--split=dev"), "split"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line_and_status_2(command, words, message):
    check_refused(command(*words), message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("seed1/export",), "--out is missing"),
        (("--out=other",), "one export is needed"),
        (("nowhere", "--out=other"), "no exported prompts in 'nowhere'"),
        (("seed1/export", "--out=data"), "'data' exists and holds no classifier.json"),
        (
            ("seed1/export", "--out=data", "--to=stablehlo"),
            "'data' exists and holds no stablehlo.json",
        ),
        (("seed1/export", "--out=other", "--to=onnx"), "to"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_status_2(export, words, message):
    check_refused(export(*words), message)


def check_refused(done, message):
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1

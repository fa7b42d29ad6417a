"""`classifier.predict` as a command."""

import csv
import io
import json

import pytest
from PIL import Image
from support.command import Command
from support.exports import make_export

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.folder import write_classifier
from fdbpl_jax.classifier.lines import WRITERS
from fdbpl_jax.classifier.made import Made
from fdbpl_jax.classifier.pictures import named_images, read_batches
from fdbpl_jax.errors import UserError


@pytest.fixture(scope="module", name="place")
def _place(tmp_path_factory):
    """A classifier, and a folder of pictures, one of them broken."""
    place = tmp_path_factory.mktemp("predict")
    (place / "photos" / "more" / ".hidden").mkdir(parents=True)
    names = ("a.png", "b.png", "more/c.png", "more/.hidden/d.png")
    colours = ((0, 200, 30), (80, 200, 30), (160, 200, 30), (240, 200, 30))
    for name, colour in zip(names, colours, strict=True):
        Image.new("RGB", (70, 60), colour).save(place / "photos" / name)
    (place / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    export = make_export(place / "export")
    images = [place / "photos" / name for name in names[:3]]
    scores = [said.rejection for said in Classifier.load(export).predict(images)]
    # Half of the validation images reach the middle one of the three scores.
    write_classifier(place / "mine", export, Made("x", rejection=sorted(scores)[:2]))
    return place


@pytest.fixture(scope="module", name="call")
def _call(place):
    command = Command("fdbpl_jax.classifier.predict", place)
    yield command
    command.close()


def test_a_folder_is_classified_and_what_is_broken_is_named_at_the_end(place, call):
    done = call("mine", "photos", "--format=csv", "--top=2")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = list(csv.DictReader(io.StringIO(done.stdout)))
    images = ["photos/a.png", "photos/b.png", "photos/more/c.png"]
    assert [line["image"] for line in lines[::2]] == images
    assert [line["rank"] for line in lines] == ["1", "2"] * 3
    assert "photos/broken.jpg" in done.stderr.splitlines()[-1]
    assert "4 images" in done.stderr
    classifier = Classifier.load(place / "mine")
    said = classifier.predict([place / image for image in images], top=1)
    assert [line["label"] for line in lines[::2]] == [p.labels[0] for p in said]
    assert float(lines[0]["probability"]) == said[0].probabilities[0]


def test_images_below_the_threshold_are_answered_with_no(place, call):
    images = [place / "photos" / name for name in ("a.png", "b.png", "more/c.png")]
    said = Classifier.load(place / "mine").predict(images)
    lowest = min(range(3), key=lambda n: said[n].rejection)
    words = [str(image.relative_to(place)) for image in images]
    done = call("mine", *words, "--reject=0.5")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[2:] == ["no"] for line in lines] == [n == lowest for n in range(3)]
    assert "which 50 % of the validation images reach" in done.stderr


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_files_say_what_is_rejected(form, place, capsys):
    images = [place / "photos" / name for name in ("a.png", "b.png", "more/c.png")]
    classifier = Classifier.load(place / "mine")
    said = classifier.predict(images, top=1)
    below = classifier.threshold(0.5)
    WRITERS[form](zip(map(str, images), said, strict=True), below)
    WRITERS[form](zip(map(str, images), said, strict=True), None)
    lines = capsys.readouterr().out.splitlines()
    expected = [each.rejection < below for each in said]
    assert sum(expected) == 1
    if form == "csv":
        assert [line.endswith(",1") for line in lines[1:4]] == expected
        assert "rejected" in lines[0]
        assert "rejected" not in lines[4]
    else:
        assert [json.loads(line).get("rejected") for line in lines[:3]] == expected
        assert "rejected" not in lines[3]


def test_a_list_on_standard_input_and_other_names(place, call):
    (place / "names.txt").write_text("a cat\na dog\n")
    done = call(
        *("mine", "-", "--classes=names.txt", "--format=jsonl"),
        input="photos/a.png\nphotos/b.png\n",
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["image"] for line in lines] == ["photos/a.png", "photos/b.png"]
    assert all(sorted(line["labels"]) == ["a cat", "a dog"] for line in lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no classifier is named"),
        (("nowhere", "photos"), "'nowhere'"),
        (("mine",), "there are no images"),
        (("mine", "nothing*.jpg"), "'nothing*.jpg' is no image, folder or pattern"),
        (("mine", "photos", "--top=0"), "top"),
        (("mine", "photos", "--reject=1.5"), "reject"),
        (("mine", "photos", "--reject=0.9", "--classes=names.txt"), "--classes names"),
        (("export", "photos", "--reject=0.9"), "cannot tell when to say no"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_2(call, words, message):
    done = call(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_words_name_files_folders_and_patterns(place, monkeypatch):
    monkeypatch.chdir(place)
    assert named_images(["photos/b.png", "photos/*.png"]) == [
        *("photos/b.png", "photos/a.png", "photos/b.png")
    ]
    with pytest.raises(UserError, match="no images to classify"):
        named_images([])


def test_batches_keep_the_order_and_set_broken_images_aside(place, monkeypatch):
    monkeypatch.chdir(place)
    paths = ["photos/broken.jpg", "photos/a.png", "lost.png", "photos/b.png"]
    batches = list(read_batches(paths, 3))
    assert [batch.paths for batch in batches] == [["photos/a.png"], ["photos/b.png"]]
    assert [len(batch.broken) for batch in batches] == [2, 0]
    assert batches[0].pictures[0].size == (70, 60)

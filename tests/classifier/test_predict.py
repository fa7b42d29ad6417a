"""`classifier.predict` as a command."""

import csv
import dataclasses
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.pictures import named_images, read_batches
from fdbpl_jax.clip.model import load_clip
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.errors import UserError
from fdbpl_jax.shapes import embedded
from fdbpl_jax.training.checkpoint import export_prompts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", name="place")
def _place(tmp_path_factory):
    """An export, and a folder of pictures, one of them broken."""
    place = tmp_path_factory.mktemp("predict")
    student = load_clip(str(embedded("student")))
    width = student.config.text.tower.width
    context = np.random.default_rng(0).normal(0, 0.02, (4, width)).astype(np.float32)
    facts = {
        "class_names": ["red circle", "blue square", "green cross"],
        "student": {"name": student.name, "sha256": student.fingerprint},
        "config": {
            "method": "coop",
            "prompt": dataclasses.asdict(PromptConfig(init="")),
        },
    }
    export_prompts(place / "mine", {"positive": {"context": context}}, facts)
    (place / "photos" / "more" / ".hidden").mkdir(parents=True)
    for n, name in enumerate(("a.png", "b.png", "more/c.png", "more/.hidden/d.png")):
        colour = (80 * (n % 4), 200, 30)
        Image.new("RGB", (70, 60), colour).save(place / "photos" / name)
    (place / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    return place


def call(place, *words, **settings):
    command = [sys.executable, "-m", "fdbpl_jax.classifier.predict", *words]
    return subprocess.run(
        command,
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        **settings,
    )


def test_a_folder_is_classified_and_what_is_broken_is_named_at_the_end(place):
    done = call(place, "mine", "photos", "--format=csv", "--top=2")
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


def test_a_list_on_standard_input_and_other_names(place):
    (place / "names.txt").write_text("a cat\na dog\n")
    done = call(
        *(place, "mine", "-", "--classes=names.txt", "--format=jsonl"),
        input="photos/a.png\nphotos/b.png\n",
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["image"] for line in lines] == ["photos/a.png", "photos/b.png"]
    assert all(sorted(line["labels"]) == ["a cat", "a dog"] for line in lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no export is named"),
        (("nowhere", "photos"), "'nowhere'"),
        (("mine",), "there are no images"),
        (("mine", "nothing*.jpg"), "'nothing*.jpg' is no image, folder or pattern"),
        (("mine", "photos", "--top=0"), "top"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_2(place, words, message):
    done = call(place, *words)
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

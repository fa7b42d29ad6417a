"""The programs of docs/exports.md say what the classifier says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.exports import make_export

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.folder import write_classifier
from fdbpl_jax.classifier.made import Made
from fdbpl_jax.classifier.stablehlo import write_stablehlo
from fdbpl_jax.clip.image import preprocess
from fdbpl_jax.clip.model import image_features
from fdbpl_jax.errors import UserError
from fdbpl_jax.files.sealed import file_digest, unseal
from fdbpl_jax.shapes import embedded, render, world

PAGE = Path(__file__).resolve().parents[2] / "docs" / "exports.md"
TASK = "shapes-negative"


def documented(title: str) -> str:
    """The program under a heading of the page, after that for images."""
    return _block("Images") + _block(title)


def _block(title: str) -> str:
    section = PAGE.read_text().split(f"### {title}\n", 1)[1].split("\n### ")[0]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]


@pytest.fixture(scope="module", name="place")
def _place(tmp_path_factory):
    """A classifier, and photos of its classes, of several shapes."""
    place = tmp_path_factory.mktemp("documented")
    export = make_export(place / "export", names=world.class_names())
    write_classifier(place / "my_classifier", export, Made("shapes"))
    (place / "photos").mkdir()
    for number, look in enumerate([*world.classes()] * 2):
        picture = render.render(TASK, look, number, "test")
        wide = picture.resize((48 + 5 * (number % 4), 48 + 9 * (number % 3)))
        wide.save(place / "photos" / f"{number:03d}.png")
    return place


@pytest.fixture(scope="module", name="expected")
def _expected(place):
    classifier = Classifier.load(place / "my_classifier")
    return classifier.predict(sorted((place / "photos").iterdir()), top=1)


def said(place: Path, program: str, **environment) -> list[tuple[str, float]]:
    """Name and probability of each line that a program prints."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu"} | environment
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.rpartition(" ") for line in done.stdout.splitlines()]
    return [(name, float(probability)) for name, _, probability in lines]


def check(lines, expected):
    assert [name for name, _ in lines] == [each.labels[0] for each in expected]
    np.testing.assert_allclose(
        [probability for _, probability in lines],
        [each.probabilities[0] for each in expected],
        atol=1e-5,
    )
    assert len({name for name, _ in lines}) > 1  # it tells classes from each other


def test_numpy(place, expected):
    student = Classifier.load(place / "my_classifier").student
    photos = [Image.open(path) for path in sorted((place / "photos").iterdir())]
    pixels = np.stack([preprocess(photo, student.image) for photo in photos])
    # Another program's features may be of any length.
    np.save(place / "features.npy", 3 * np.asarray(image_features(student, pixels)))
    check(said(place, documented("NumPy")), expected)


NOT_HERE = "import sys\nsys.modules['fdbpl_jax'] = None\n"


@pytest.fixture(scope="module", name="program")
def _program(place):
    folder = place / "my_program"
    write_stablehlo(folder, Classifier.load(place / "my_classifier"))
    return folder


@pytest.mark.usefixtures("program")
def test_stablehlo_runs_without_this_project(place, expected):
    program = documented("StableHLO")
    more = program + "for x in rejection[0]: print('score', x)\n"
    lines = said(place, NOT_HERE + more)
    check(lines[: len(expected)], expected)
    rejection = [each.rejection for each in expected]
    scores = [score for _, score in lines[len(expected) :]]
    np.testing.assert_allclose(scores, rejection, atol=1e-5)


def test_facts_of_a_program(place, program):
    facts = unseal((program / "stablehlo.json").read_bytes())
    assert facts["class_names"] == list(world.class_names())
    assert facts["output"] == ["probabilities", "rejection"]
    assert facts["platforms"] == ["cpu", "cuda", "tpu"]
    digest = file_digest(program / "classifier.stablehlo")
    assert facts["files"] == {"classifier.stablehlo": digest}
    classifier = Classifier.load(place / "my_classifier")
    with pytest.raises(UserError, match=r"my_program' exists already"):
        write_stablehlo(program, classifier)
    write_stablehlo(program, classifier, overwrite=True)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cocoop", "vpt", "maple", "promptsrc", "promptkd"])
def test_stablehlo_of_other_learners(method, place, tmp_path):
    names = world.class_names()
    classifier = Classifier.load(make_export(tmp_path / "export", method, names))
    write_stablehlo(tmp_path / "my_program", classifier)
    (tmp_path / "photos").symlink_to(place / "photos")
    photos = sorted((place / "photos").iterdir())
    lines = said(tmp_path, NOT_HERE + documented("StableHLO"))
    check(lines, classifier.predict(photos, top=1))


@pytest.mark.slow
def test_transformers(place, expected):
    pytest.importorskip("torch")
    program = documented("transformers")
    student = repr(str(embedded("student")))
    lines = said(place, program.replace('"openai/clip-vit-base-patch32"', student))
    check(lines, expected)


@pytest.mark.slow
def test_open_clip(place, expected):
    pytest.importorskip("torch")
    pytest.importorskip("open_clip")
    here = Path(__file__).parents[1]
    prelude = "from support.open_clip_side import use_embedded\nuse_embedded()\n"
    path = os.pathsep.join([str(here), str(here.parent)])
    lines = said(place, prelude + documented("open_clip"), PYTHONPATH=path)
    check(lines, expected)

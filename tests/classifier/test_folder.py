"""Classifier folders: what is in them, written whole, and read back the same."""

import json
import shutil

import huggingface_hub
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image
from support.exports import NAMES, make_export
from support.fake_hub import use_fake_hub

from fdbpl_jax.classifier import texts
from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.folder import write_classifier
from fdbpl_jax.classifier.made import Made
from fdbpl_jax.classifier.stored import Accuracy
from fdbpl_jax.clip.model import load_clip, logit_scale
from fdbpl_jax.errors import UserError
from fdbpl_jax.files.sealed import seal, unseal
from fdbpl_jax.shapes import embedded

MADE = Made(
    data="36 images of 4 classes of my_shapes",
    how={"images": 36, "seed": 1, "lr": 0.002},
    accuracies={"12 validation images": Accuracy(75.0, 12)},
    rejection=[float(score) for score in range(200, 0, -1)],
)
FILES = ["README.md", "classifier.json", "classifier.safetensors", "prompts.json"]


def pictures(count: int = 3) -> list[Image.Image]:
    rng = np.random.default_rng(5)
    return [
        Image.fromarray(rng.integers(0, 256, (70, 90, 3), np.uint8))
        for _ in range(count)
    ]


@pytest.fixture(scope="module", name="export")
def _export(tmp_path_factory):
    return make_export(tmp_path_factory.mktemp("cell") / "export")


@pytest.fixture(scope="module", name="ready")
def _ready(tmp_path_factory, export):
    folder = tmp_path_factory.mktemp("made") / "my_classifier"
    write_classifier(folder, export, MADE)
    return folder


@pytest.fixture(name="folder")
def _folder(tmp_path, ready):
    """A copy that a test may damage."""
    return shutil.copytree(ready, tmp_path / "my_classifier")


def test_it_has_these_files_and_nothing_is_left_beside_it(ready):
    assert {path.name for path in ready.iterdir()} == {*FILES, "prompts"}
    assert [path.name for path in ready.parent.iterdir()] == ["my_classifier"]


def test_facts_say_what_it_is(ready):
    facts = unseal((ready / "classifier.json").read_bytes())
    student = load_clip(str(embedded("student")))
    assert facts["class_names"] == list(NAMES)
    assert facts["student"] == {
        "name": "embedded student",
        "sha256": student.fingerprint,
        "revision": "",
    }
    assert facts["method"] == "coop+fdbpl"
    assert facts["template"] == "a photo of a {}."
    assert facts["preprocessing"]["crop_size"] == {"height": 32, "width": 32}
    assert facts["how"] == MADE.how
    accuracy = {"percent": 75.0, "images": 12}
    assert facts["accuracies"] == {"12 validation images": accuracy}
    assert facts["versions"].keys() >= {"fdbpl-jax", "jax", "python"}


def test_no_file_names_a_place_of_this_machine(ready, export):
    places = {str(ready.parent.parent), str(embedded("student").parents[2]), "/tmp"}
    for path in ready.rglob("*"):
        content = b"" if path.is_dir() else path.read_bytes()
        assert not [place for place in places if place.encode() in content], path
    assert str(embedded("student")) in (export / "prompts.json").read_text()


def test_tensors_are_text_features_scale_and_prompts(ready, export):
    tensors = safetensors.numpy.load_file(ready / "classifier.safetensors")
    classifier = Classifier.load(export)
    expected = classifier.texts(NAMES)
    np.testing.assert_array_equal(tensors["text.positive"], expected.positive)
    np.testing.assert_array_equal(tensors["text.negative"], expected.negative)
    np.testing.assert_allclose(np.linalg.norm(expected.positive, axis=1), 1, 1e-5)
    assert tensors["logit_scale"].shape == ()
    scale = float(np.exp(tensors["logit_scale"]))
    assert scale == pytest.approx(logit_scale(classifier.student), rel=1e-6)
    prompts = classifier.opened.wording.prompts
    for sign in ("positive", "negative"):
        context = tensors[f"prompts.{sign}.context"]
        np.testing.assert_array_equal(context, getattr(prompts, sign).context)
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype("float32")}


METHODS = ("coop", "cocoop", "vpt", "maple", "promptsrc", "promptkd")


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_learner_is_stored_and_says_the_same(method, tmp_path):
    export = make_export(tmp_path / "export", method)
    write_classifier(tmp_path / "mine", export, MADE)
    ours, theirs = Classifier.load(tmp_path / "mine"), Classifier.load(export)
    assert ours.predict(pictures()) == theirs.predict(pictures())
    other = ["a cat", "a dog"]
    ours, theirs = (c.predict(pictures(), classes=other) for c in (ours, theirs))
    assert ours == theirs
    tensors = safetensors.numpy.load_file(tmp_path / "mine" / "classifier.safetensors")
    assert ("text.positive" in tensors) == (method != "cocoop")


def test_contexts_of_single_classes_are_stored(tmp_path):
    export = make_export(tmp_path / "export", "coop", class_specific=True)
    write_classifier(tmp_path / "mine", export, MADE)
    said = Classifier.load(tmp_path / "mine").predict(pictures())
    assert said == Classifier.load(export).predict(pictures())


def test_its_own_names_need_no_text_tower_and_others_do(ready, monkeypatch):
    calls = []

    def counted(*args):
        calls.append(args)
        return real(*args)

    real = texts.class_text
    monkeypatch.setattr(texts, "class_text", counted)
    classifier = Classifier.load(ready)
    classifier.predict(pictures())
    classifier.predict(pictures(), classes=NAMES)
    assert not calls
    classifier.predict(pictures(), classes=NAMES[:2])
    assert len(calls) == 2  # of the positive and of the negative prompt


def test_own_names_of_promptkd_need_no_teacher(tmp_path):
    export = make_export(tmp_path / "export", "promptkd")
    write_classifier(tmp_path / "mine", export, MADE)
    classifier = Classifier.load(tmp_path / "mine", teacher="nowhere")
    assert classifier.predict(pictures()) == Classifier.load(export).predict(pictures())
    with pytest.raises(UserError, match="'nowhere'"):
        classifier.predict(pictures(), classes=["a cat", "a dog"])


@pytest.mark.parametrize(
    ("share", "kept"), [(1.0, 200), (0.95, 190), (0.9, 180), (0.5, 100), (0.005, 2)]
)
def test_a_threshold_keeps_at_least_the_share_of_validation_images(ready, share, kept):
    classifier = Classifier.load(ready)
    below = classifier.threshold(share)
    assert sum(score >= below for score in MADE.rejection) == kept
    assert classifier.reject_below == classifier.threshold(0.95) == 11.0


def test_without_validation_images_there_is_no_threshold(export, tmp_path):
    write_classifier(tmp_path / "mine", export, Made("x"))
    for place in (tmp_path / "mine", export):
        classifier = Classifier.load(place)
        assert classifier.reject_below is None
        with pytest.raises(UserError, match="cannot tell when to say no"):
            classifier.threshold(0.9)


def test_the_card_is_a_model_card_of_the_hub(ready):
    card = huggingface_hub.ModelCard.load(ready / "README.md")
    assert card.data.library_name == "fdbpl_jax"
    assert card.data.pipeline_tag == "image-classification"
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", 75.0)
    text = card.text
    assert "36 images of 4 classes of my\\_shapes" in text
    assert "12 validation images: 75.00 ± 12.50 % of 12 images" in text
    assert "red circle, blue square, green cross, yellow star" in text
    assert "--student" not in text
    assert "/tmp" not in text


def test_the_card_may_be_edited(folder):
    (folder / "README.md").write_text("mine")
    Classifier.load(folder)


# --- folders that exist


def test_a_folder_that_exists_is_refused_without_overwrite(folder, export):
    before = (folder / "classifier.json").read_bytes()
    with pytest.raises(UserError, match="my_classifier' exists already"):
        write_classifier(folder, export, Made("another"))
    assert (folder / "classifier.json").read_bytes() == before
    write_classifier(folder, export, Made("another"), overwrite=True)
    assert Classifier.load(folder).opened.stored.facts.data == "another"


def test_what_is_no_classifier_is_never_overwritten(tmp_path, export):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(UserError, match=r"exists and holds no classifier\.json"):
        write_classifier(tmp_path / "photos", export, MADE, overwrite=True)
    (tmp_path / "empty").mkdir()
    write_classifier(tmp_path / "empty", export, MADE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "photos"]


def test_names_that_are_one_to_clip_are_refused(tmp_path):
    export = make_export(tmp_path / "export", names=("T-shirt", "T - shirt", "hat"))
    with pytest.raises(UserError, match="'T-shirt' and 'T - shirt'"):
        write_classifier(tmp_path / "mine", export, MADE)
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_a_write_that_fails_leaves_what_was_there(folder, export, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        write_classifier(folder, export, Made("another"), overwrite=True)
    assert Classifier.load(folder).opened.stored.facts.data == MADE.data
    assert [path.name for path in folder.parent.iterdir()] == ["my_classifier"]


# --- damage


def files_of(folder):
    """All files that are read, relative to the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path.relative_to(folder) for path in paths if path.name != "README.md"]


def flipped(content: bytes, other: bytes) -> bytes:
    return content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]


def cut(content: bytes, other: bytes) -> bytes:
    return content[: len(content) // 2]


def swapped(content: bytes, other: bytes) -> bytes:
    return other


@pytest.mark.parametrize("damage", [flipped, cut, swapped])
def test_damage_of_any_file_is_refused(damage, folder, tmp_path):
    export = make_export(tmp_path / "export", seed=1)
    write_classifier(tmp_path / "other", export, Made("another"))
    paths = [path for path in folder.rglob("*") if path.is_file()]
    read = [path for path in paths if path.name != "README.md" and path.stat().st_size]
    assert len(read) > 8
    for path in read:
        content = path.read_bytes()
        other = tmp_path / "other" / path.relative_to(folder)
        # Orbax names some files by chance.
        changed = damage(content, other.read_bytes() if other.exists() else b"other")
        if changed == content:
            continue
        path.write_bytes(changed)
        with pytest.raises(UserError, match=r"is damaged|are damaged") as error:
            Classifier.load(folder)
        assert "\n" not in str(error.value)
        path.write_bytes(content)
    Classifier.load(folder)


@pytest.mark.parametrize("name", ["classifier.safetensors", "prompts.json", "prompts"])
def test_a_lost_file_is_refused(folder, name):
    lost = folder / name
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    with pytest.raises(UserError, match=r"is damaged|are damaged"):
        Classifier.load(folder)


def change(folder, **changes) -> None:
    """Change the facts, sealed again as another program could."""
    facts = unseal((folder / "classifier.json").read_bytes()) | changes
    (folder / "classifier.json").write_text(json.dumps(seal(facts)))


def test_another_format_is_refused_by_its_number(folder):
    change(folder, format=2)
    with pytest.raises(UserError, match="classifier format 2"):
        Classifier.load(folder)


def test_facts_of_another_shape_are_refused(folder):
    change(folder, student="openai/clip")
    with pytest.raises(UserError, match=r"damaged: 'classifier\.json'"):
        Classifier.load(folder)


# --- the student


@pytest.fixture(name="of_a_folder")
def _of_a_folder(tmp_path):
    """A classifier whose student was a folder that is not there any more."""
    student = shutil.copytree(embedded("student"), tmp_path / "clips" / "my_clip")
    export = make_export(tmp_path / "export")
    facts = json.loads((export / "prompts.json").read_text())
    facts.pop("sha256")
    facts["student"]["name"] = str(student)
    (export / "prompts.json").write_text(json.dumps(seal(facts)))
    write_classifier(tmp_path / "mine", export, MADE)
    shutil.rmtree(student.parent)
    return tmp_path / "mine"


def test_a_student_that_is_not_there_is_named_with_its_fingerprint(of_a_folder):
    fingerprint = load_clip(str(embedded("student"))).fingerprint[:12]
    with pytest.raises(UserError, match=f"'my_clip'.*{fingerprint}.*--student"):
        Classifier.load(of_a_folder)
    Classifier.load(of_a_folder, student=str(embedded("student")))
    assert "--student=FOLDER_OF_THE_CLIP" in (of_a_folder / "README.md").read_text()
    assert "clips" not in (of_a_folder / "prompts.json").read_text()


def test_another_student_is_refused(ready):
    with pytest.raises(UserError, match="another student than the export's"):
        Classifier.load(ready, student=str(embedded("teacher")))


@pytest.mark.parametrize("name", ["clips/mine", "./clips", "~/clips", "clips"])
def test_no_path_of_a_classifier_is_followed(folder, tmp_path, name, monkeypatch):
    """A folder here that is named like the student may be anything."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(embedded("student"), tmp_path / "clips")
    shutil.copytree(embedded("student"), tmp_path / "clips" / "mine")
    fingerprint = load_clip("clips").fingerprint
    change(folder, student={"name": name, "sha256": fingerprint, "revision": ""})
    with pytest.raises(UserError, match="student"):
        Classifier.load(folder)


def test_a_student_of_the_hub_keeps_its_id_and_commit(tmp_path, monkeypatch):
    commit = "0123456789" * 4
    cache = tmp_path / "cache" / "models--someone--tiny"
    shutil.copytree(embedded("student"), cache / "snapshots" / commit)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(commit)
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    export = make_export(tmp_path / "export")
    facts = json.loads((export / "prompts.json").read_text())
    facts.pop("sha256")
    facts["student"]["name"] = "someone/tiny"
    (export / "prompts.json").write_text(json.dumps(seal(facts)))
    write_classifier(tmp_path / "mine", export, MADE)
    classifier = Classifier.load(tmp_path / "mine")
    source = classifier.opened.stored.facts.student
    assert (source.name, source.revision) == ("someone/tiny", commit)
    card = huggingface_hub.ModelCard.load(tmp_path / "mine" / "README.md")
    assert card.data.base_model == "someone/tiny"
    shutil.rmtree(cache)
    with pytest.raises(UserError, match=r"'someone/tiny' \(fingerprint .*--student"):
        Classifier.load(tmp_path / "mine")


# --- the hub


def test_a_classifier_of_the_hub_is_fetched(ready, tmp_path, monkeypatch):
    downloaded = use_fake_hub(monkeypatch, tmp_path / "hub", v1=ready)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    classifier = Classifier.load("someone/shapes@v1")
    assert classifier.predict(pictures()) == Classifier.load(ready).predict(pictures())
    assert {name.split("/")[0] for name in downloaded} == {*FILES[1:], "prompts"}


def test_a_repository_without_a_classifier_is_named(tmp_path, monkeypatch):
    use_fake_hub(monkeypatch, tmp_path / "hub", main=embedded("student"))
    with pytest.raises(UserError, match=r"'openai/clip' .*has no classifier\.json"):
        Classifier.load("openai/clip")


def test_a_classifier_that_cannot_be_fetched_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"the classifier 'a/b' .*cannot be fetched"):
        Classifier.load("a/b")

import collections
import shutil
import threading

import pytest
from PIL import Image

from fdbpl_jax.errors import UserError
from fdbpl_jax.shapes import dataset, world

COUNTS = {"train": 2, "val": 1, "test": 1}


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch):
    monkeypatch.setattr(dataset, "PER_CLASS", COUNTS)


def test_layout(tmp_path):
    loaded = dataset.load_shapes("shapes-negative", tmp_path)
    assert loaded.name == "shapes-negative"
    assert loaded.template == "a negative photo of a {}."
    assert loaded.class_names == world.class_names()
    for split, count in COUNTS.items():
        examples = getattr(loaded, split)
        labels = collections.Counter(example.label for example in examples)
        assert labels == dict.fromkeys(range(32), count)
        for example in examples[:3]:
            with Image.open(loaded.root / example.path) as picture:
                assert picture.size == (world.IMAGE_SIZE, world.IMAGE_SIZE)
            words = loaded.class_names[example.label].replace(" ", "_")
            assert words in example.path


def test_second_call_renders_nothing(tmp_path, monkeypatch):
    first = dataset.load_shapes("shapes-plain", tmp_path)
    monkeypatch.setattr(dataset.render, "render", pytest.fail)
    assert dataset.load_shapes("shapes-plain", tmp_path) == first


def test_interrupted_rendering_is_not_read_as_whole(tmp_path, monkeypatch):
    real, calls = dataset.render.render, []

    def interrupted(*key):
        calls.append(key)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return real(*key)

    monkeypatch.setattr(dataset.render, "render", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dataset.load_shapes("shapes-plain", tmp_path)
    assert list(tmp_path.iterdir()) == []
    loaded = dataset.load_shapes("shapes-plain", tmp_path)
    assert dataset.is_whole(loaded.root)


def test_damaged_folder_is_rendered_again(tmp_path):
    loaded = dataset.load_shapes("shapes-plain", tmp_path)
    victim = loaded.root / loaded.test[5].path
    before = victim.read_bytes()
    victim.unlink()
    assert dataset.load_shapes("shapes-plain", tmp_path) == loaded
    assert victim.read_bytes() == before
    shutil.rmtree(loaded.root / "val")
    assert dataset.load_shapes("shapes-plain", tmp_path) == loaded
    assert [path.name for path in tmp_path.iterdir()] == [loaded.root.name]


def test_other_settings_are_another_cache(tmp_path, monkeypatch):
    dataset.load_shapes("shapes-plain", tmp_path)
    monkeypatch.setattr(dataset, "PER_CLASS", {**COUNTS, "val": 2})
    assert len(dataset.load_shapes("shapes-plain", tmp_path).val) == 64


def test_two_at_once(tmp_path):
    found = []
    workers = [
        threading.Thread(
            target=lambda: found.append(
                dataset.load_shapes("shapes-negative", tmp_path)
            )
        )
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found[0] == found[1]
    assert dataset.is_whole(found[0].root)
    assert [path.name for path in tmp_path.iterdir()] == [found[0].root.name]


def test_a_cache_that_cannot_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UserError, match=r"shapes-plain.*could not be written"):
        dataset.load_shapes("shapes-plain", blocked)

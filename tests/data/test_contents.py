"""What only contents show: broken images and copies."""

from pathlib import Path

import pytest
from PIL import Image

from fdbpl_jax.data.contents import copies, without_broken
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.data.types import Dataset, Example


@pytest.fixture(name="dataset")
def _dataset(tmp_path):
    """Ten images, of which the last of "test" is a copy of the first of "train"."""
    paths = [f"{n}.png" for n in range(10)]
    for n, path in enumerate(paths):
        Image.new("RGB", (4, 4), (n % 9, 0, 0)).save(tmp_path / path)
    examples = [Example(path, n % 2) for n, path in enumerate(paths)]
    parts = (tuple(part) for part in (examples[:4], examples[4:6], examples[6:]))
    return Dataset("ten", tmp_path, ("a", "b"), "a {}.", *parts)


def test_broken_images_are_left_out_of_every_part(dataset, tmp_path, caplog):
    assert without_broken(dataset, tmp_path / "records") is dataset
    for path in ("1.png", "4.png", "9.png"):
        complete = (tmp_path / path).read_bytes()
        (tmp_path / path).write_bytes(complete[: len(complete) // 2])
    complete = without_broken(dataset, tmp_path / "records")
    assert [e.path for e in complete.train] == ["0.png", "2.png", "3.png"]
    assert [e.path for e in complete.val] == ["5.png"]
    assert [e.path for e in complete.test] == ["6.png", "7.png", "8.png"]
    assert [e.path for e in complete.left_out] == ["1.png", "4.png", "9.png"]
    assert "ten: 3 of 10 images cannot be read and are left out: 1.png," in caplog.text


def test_copies_are_counted_by_content(dataset):
    source = SourceImages(dataset.root)
    train, test = ([e.path for e in part] for part in (dataset.train, dataset.test))
    (said,) = copies(source, train, source, test)
    assert said.startswith("1 of 4 test images are training images, too")
    assert said.endswith(": 9.png")
    assert copies(source, train[1:], source, test) == []
    Path(dataset.root / "3.png").write_bytes((dataset.root / "7.png").read_bytes())
    (said,) = copies(SourceImages(dataset.root), train, source, test)
    assert "2 of 4" in said

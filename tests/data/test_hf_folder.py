"""A folder of Hugging Face `datasets`: exported once, whole, and again when it changed.

Skipped where the library is not installed.
"""

import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from fdbpl_jax.data import hf_folder, hf_rows
from fdbpl_jax.data.hf_folder import read_hf
from fdbpl_jax.data.images import read_image
from fdbpl_jax.errors import UserError

datasets = pytest.importorskip("datasets")
NAMES = ["ant", "AC/DC", "big_bee"]


def encoded(shade, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(np.full((4, 6, 3), shade, np.uint8)).save(file, kind)
    return file.getvalue()


def table(labels, first=0, names=NAMES, kind="PNG", label=None):
    content = {
        "image": [{"bytes": encoded(first + n, kind)} for n in range(len(labels))],
        "label": labels,
        "extra": ["text"] * len(labels),
    }
    features = datasets.Features(
        image=datasets.Image(),
        label=label or datasets.ClassLabel(names=names),
        extra=datasets.Value("string"),
    )
    return datasets.Dataset.from_dict(content, features=features)


def save(folder, **splits):
    datasets.DatasetDict(**splits).save_to_disk(folder)
    return folder


@pytest.fixture
def whole(tmp_path):
    parts = {"train": [2, 0, 1, 1], "validation": [0, 1, 2], "test": [1, 2, 0]}
    tables = {name: table(labels) for name, labels in parts.items()}
    return save(tmp_path / "set", **tables)


def hidden(folder):
    return [name for name in os.listdir(folder) if name.startswith(".")]


def refused(folder, match, **columns):
    with pytest.raises(UserError, match=match) as caught:
        read_hf(folder, **columns)
    assert hidden(folder) == []
    return caught.value


def test_images_are_written_byte_for_byte_with_the_labels_order(whole):
    data = read_hf(whole, "a drawing of a {}.")
    assert (data.name, data.root) == ("set", whole / "fdbpl_jax_images")
    assert data.class_names == ("ant", "AC/DC", "big_bee")
    assert [e.label for e in data.train] == [2, 0, 1, 1]
    assert [e.label for e in data.val] == [0, 1, 2]
    assert data.test[0].path == "test/0001_AC_DC/0000000.png"
    for number, example in enumerate(data.train):
        assert (data.root / example.path).read_bytes() == encoded(number)
        assert np.asarray(read_image(data.root, example.path))[0, 0, 0] == number
    assert sorted(os.listdir(whole)) == [
        *("dataset_dict.json", "fdbpl_jax_images", "test", "train", "validation")
    ]


def test_a_second_reading_writes_nothing_and_needs_no_library(whole, monkeypatch):
    first = read_hf(whole)
    monkeypatch.setattr(hf_folder, "open_splits", lambda *_: pytest.fail("opened"))
    assert read_hf(whole) == first


def test_changed_data_are_written_again(whole, caplog):
    caplog.set_level("INFO", logger="absl")
    read_hf(whole)
    save(whole, train=table([0, 1], 50), test=table([1, 0], 90))
    data = read_hf(whole)
    assert data.class_names == ("ant", "AC/DC")
    assert data.val == ()
    assert (data.root / data.train[0].path).read_bytes() == encoded(50)
    assert "is out of date and is written again" in caplog.text
    assert "1 classes that no image has are left out: big_bee" in caplog.text
    assert len(list((data.root / "train").rglob("*.png"))) == 2
    assert hidden(whole) == []


def test_data_file_of_another_size_is_noticed(whole, monkeypatch):
    read_hf(whole)
    (file,) = (whole / "train").glob("*.arrow")
    file.write_bytes(file.read_bytes() + b"more")
    asked = []
    monkeypatch.setattr(hf_folder, "open_splits", lambda _, s, *__: asked.append([*s]))
    monkeypatch.setattr(hf_folder, "write_images", lambda *_: pytest.skip("written"))
    with pytest.raises(pytest.skip.Exception):
        read_hf(whole)
    assert asked == [["train", "validation", "test"]]


def test_broken_data_file_is_refused(whole):
    (file,) = (whole / "train").glob("*.arrow")
    file.write_bytes(b"broken")
    refused(whole, "'datasets' cannot open")


def test_lone_dataset_is_split_by_class(tmp_path):
    table([0, 1, 2] * 10, kind="JPEG").save_to_disk(tmp_path / "set")
    data = read_hf(tmp_path / "set")
    assert [len(part) for part in (data.train, data.val, data.test)] == [15, 6, 9]
    assert {e.label for e in data.test} == {0, 1, 2}
    assert all(e.path.endswith(".jpg") for e in data.test)


def test_validation_stands_in_for_a_missing_test(tmp_path, caplog):
    folder = save(tmp_path / "set", train=table([0, 1]), validation=table([1, 0]))
    data = read_hf(folder)
    assert [e.path[:10] for e in data.test] == ["validation"] * 2
    assert data.val == ()
    assert "has no split 'test'" in caplog.text


def test_failure_while_writing_leaves_nothing(whole, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hf_folder, "write_images", full)
    refused(whole, "cannot write the images of .*No space left")
    assert not (whole / "fdbpl_jax_images").exists()


def test_images_that_another_process_wrote_meanwhile_stay(whole, monkeypatch):
    def after_another(*args):
        with monkeypatch.context() as other:
            other.setattr(hf_folder, "write_images", hf_rows.write_images)
            inodes.append(read_hf(whole).root.stat().st_ino)
        return hf_rows.write_images(*args)

    inodes = []
    monkeypatch.setattr(hf_folder, "write_images", after_another)
    assert read_hf(whole).root.stat().st_ino == inodes[0]
    assert hidden(whole) == []


def test_a_folder_that_is_not_ours_stays(whole):
    (whole / "fdbpl_jax_images").mkdir()
    (whole / "fdbpl_jax_images" / "mine.txt").write_text("mine")
    refused(whole, "is not a folder of exported images")
    assert (whole / "fdbpl_jax_images" / "mine.txt").exists()


def test_missing_exported_image_says_what_to_remove(whole):
    data = read_hf(whole)
    (data.root / data.test[0].path).unlink()
    error = refused(whole, r"1 of the 10 images .* missing")
    assert "Remove the folder" in error.do


def test_missing_library_names_the_extra(whole, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    error = refused(whole, "needs the library 'datasets'")
    assert "fdbpl-jax[hf]" in error.do


def test_columns_must_be_there_and_be_one(tmp_path):
    folder = save(tmp_path / "text", test=table([0], label=datasets.Value("int64")))
    error = refused(folder, r"0 columns of the type ClassLabel .* label \(Value\)")
    assert "class_encode_column" in error.do
    one = table([0, 1])
    two = one.add_column("fine", [1, 0], feature=one.features["label"])
    folder = save(tmp_path / "two", test=two)
    refused(folder, "2 columns of the type ClassLabel")
    refused(folder, "no column 'nothing' of the type ClassLabel", label="nothing")
    assert [e.label for e in read_hf(folder, label="fine").test] == [1, 0]
    assert [e.label for e in read_hf(folder, label="label").test] == [0, 1]


def test_bad_rows_are_refused_by_number(tmp_path):
    refused(save(tmp_path / "a", test=table([0, -1])), "split 'test' .* have no label")
    bad = table([0, 1]).to_dict() | {"image": [{"bytes": b"text"}, None]}
    bad = datasets.Dataset.from_dict(bad, features=table([0]).features)
    refused(save(tmp_path / "b", test=bad), "row 0 .* is no image that we can read")
    folder = save(tmp_path / "c", test=bad.select([1]))
    refused(folder, "row 0 of the split 'test' .* has no image in it")
    folder = save(tmp_path / "d", test=table([0, 1], names=["a b", "a_b"]))
    refused(folder, "'a b' and 'a_b' .* read the same")
    table([0, 1, 1]).save_to_disk(tmp_path / "e")
    refused(tmp_path / "e", r"2 classes in .* fewer than 3 images")


def test_splits_that_do_not_fit_are_refused(tmp_path):
    refused(save(tmp_path / "a", unsupervised=table([0])), "splits .* unsupervised")
    folder = save(tmp_path / "b", val=table([0]), valid=table([0]))
    refused(folder, "two splits that are the same part: val, valid")
    other = table([0], names=["x", "y"])
    folder = save(tmp_path / "c", train=table([0]), test=other)
    refused(folder, "column 'label' .* is another one in the split 'test'")


@pytest.mark.parametrize("splits", [["../other"], ["train", "/etc"], [], "train"])
def test_folders_that_lead_out_or_are_none_are_refused(tmp_path, splits):
    table([0]).save_to_disk(tmp_path / "other")
    folder = tmp_path / "set"
    folder.mkdir()
    refused(folder, r"cannot read .*dataset_dict\.json")
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": splits}))
    refused(folder, "unknown names: (/etc|../other)|names no split")


def test_a_folder_of_nothing_but_links_is_read(whole, tmp_path):
    """As the cache of Hugging Face keeps what it has fetched."""
    cache = tmp_path / "cache"
    for file in whole.rglob("*.*"):
        link = cache / file.relative_to(whole)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    data = read_hf(cache)
    assert (data.name, data.root) == ("cache", cache / "fdbpl_jax_images")
    assert (data.train, data.test) == (read_hf(whole).train, read_hf(whole).test)


@pytest.mark.parametrize("name", ["../data.arrow", "/etc/passwd", "a/b.arrow", ".."])
def test_data_file_that_is_said_to_be_outside_is_refused(tmp_path, name):
    folder = tmp_path / "set"
    table([0]).save_to_disk(folder)
    state = json.loads((folder / "state.json").read_text())
    state["_data_files"] = [{"filename": name}]
    (folder / "state.json").write_text(json.dumps(state))
    refused(folder, "names no split or no data file")


def test_class_folders_are_plain_names():
    names = ["../..", "a b", "ä" * 99, "", "." * 9]
    made = [hf_rows._plain(label, name) for label, name in enumerate(names)]
    assert made == ["0000_", "0001_a_b", "0002_", "0003_", "0004_"]

"""Split files: read as the field keeps them, every contradiction refused."""

import json
import os

import pytest

from fdbpl_jax.data.split_file import read_split
from fdbpl_jax.data.types import Example
from fdbpl_jax.errors import UserError

GOOD = {
    "train": [["a/1.jpg", 0, "ant"], ["b/1.jpg", 1, "big_bee"]],
    "val": [["a/2.jpg", 0, "ant"]],
    "test": [["b/./2.jpg", 1, "big_bee"]],
}


def read(tmp_path, content, rename=()):
    file = tmp_path / "split.json"
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    file.write_bytes(text)
    names = dict(rename)
    return read_split(file, lambda name: names.get(name, name))


def refused(tmp_path, content, match):
    with pytest.raises(UserError, match=match) as caught:
        read(tmp_path, content)
    assert "split.json" in caught.value.what


def test_reads_names_and_normalised_paths(tmp_path):
    names, splits = read(tmp_path, GOOD, {"ant": "Formica"}.items())
    assert names == ("Formica", "big_bee")
    assert splits["train"] == (Example("a/1.jpg", 0), Example("b/1.jpg", 1))
    assert splits["test"] == (Example("b/2.jpg", 1),)


def test_byte_order_mark_is_no_harm(tmp_path):
    names, _ = read(tmp_path, b"\xef\xbb\xbf" + json.dumps(GOOD).encode())
    assert names == ("ant", "big_bee")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is not JSON"),
        (b'{"train": [', "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        ([1, 2], "is not a JSON object"),
        ({"train": [], "val": []}, "no list 'test'.*train, val"),
        (GOOD | {"val": {}}, "no list 'val'"),
        ({"train": [], "val": [], "test": []}, "lists no image"),
    ],
)
def test_wrong_file_is_refused(tmp_path, content, match):
    refused(tmp_path, content, match)


@pytest.mark.parametrize(
    "row",
    [
        ["a.jpg", 0],
        ["a.jpg", "0", "ant"],
        ["a.jpg", True, "ant"],
        ["a.jpg", 0.0, "ant"],
        [5, 0, "ant"],
        ["a.jpg", 0, None],
        ["a.jpg", 0, "  "],
        ["a\0.jpg", 0, "ant"],
        ["a\ud800.jpg", 0, "ant"],
        {"path": "a.jpg"},
        None,
        "abc",
    ],
)
def test_wrong_row_is_refused_by_number(tmp_path, row):
    refused(tmp_path, GOOD | {"val": [["v.jpg", 0, "ant"], row]}, "row 1 of 'val'")


@pytest.mark.parametrize("path", ["/etc/a.jpg", "../a.jpg", "a/../../b.jpg", "", "."])
def test_path_out_of_the_root_is_refused(tmp_path, path):
    refused(tmp_path, GOOD | {"val": [[path, 0, "ant"]]}, "must be relative")


def test_label_gap_lists_the_missing(tmp_path):
    rows = [["c.jpg", 3, "cat"], ["d.jpg", 6, "dog"]]
    refused(tmp_path, GOOD | {"val": rows}, "up to 6 but 3 .* 2, 4, 5")


def test_huge_label_is_refused_at_once(tmp_path):
    rows = [["c.jpg", 10**15, "cat"]]
    refused(tmp_path, GOOD | {"val": rows}, "2, 3, 4, 5, 6 and more")


def test_negative_label_is_refused(tmp_path):
    refused(tmp_path, GOOD | {"val": [["c.jpg", -1, "cat"]]}, "the label -1")


def test_one_label_with_two_names_is_refused(tmp_path):
    row = ["c.jpg", 0, "cat"]
    refused(tmp_path, GOOD | {"val": [row]}, "label 0 is both 'ant' and 'cat'")


@pytest.mark.parametrize("name", ["big_bee", "big bee"])
def test_one_name_with_two_labels_is_refused(tmp_path, name):
    row = ["c.jpg", 2, name]
    refused(tmp_path, GOOD | {"val": [row]}, "class 'big bee' has the labels 1 and 2")


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_image_listed_twice_is_refused(tmp_path, split):
    content = GOOD | {split: [*GOOD[split], ["a//1.jpg", 0, "ant"]]}
    refused(tmp_path, content, rf"1 images twice: 'a/1.jpg' \(in train and {split}\)")


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_no_file_is_refused(tmp_path, kind):
    file = tmp_path / "split.json"
    if kind == "folder":
        file.mkdir()
    with pytest.raises(UserError, match=r"split\.json"):
        read_split(file, str)


@pytest.mark.parametrize("name", ["validation", "valid", "dev"])
def test_other_names_of_val_are_read(tmp_path, name):
    content = {"train": GOOD["train"], name: GOOD["val"], "test": GOOD["test"]}
    assert read(tmp_path, content) == read(tmp_path, GOOD)
    refused(tmp_path, GOOD | {name: []}, "two splits that are the same part")


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "split.json")
    with pytest.raises(UserError, match=r"split\.json' .a pipe, socket or device"):
        read_split(tmp_path / "split.json", str)

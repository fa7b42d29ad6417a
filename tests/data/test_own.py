"""All images of a user's data are read, with the labels that they have."""

import csv

import pytest
from PIL import Image

from fdbpl_jax.data.own import open_own
from fdbpl_jax.data.splits import few_shot, hold_out
from fdbpl_jax.data.types import UNLABELLED
from fdbpl_jax.errors import UserError

NAMES = ("dog", "red cat")


def make(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(root / path)
    return str(root)


def labels(examples):
    return {example.path: example.label for example in examples}


def test_class_folders_are_all_for_training(tmp_path):
    data = open_own(make(tmp_path, "b/1.png", "a/2.png", "a/1.png"))
    assert data.class_names == ("a", "b")
    assert labels(data.train) == {"a/1.png": 0, "a/2.png": 0, "b/1.png": 1}
    assert data.val == data.test == ()


def test_stated_parts_stay_apart(tmp_path):
    data = open_own(make(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/2.png"))
    assert labels(data.val) == {"val/a/2.png": 0}
    assert len(data.train) == 2
    assert data.test == ()


def test_images_without_labels_are_those_in_no_folder_of_a_class(tmp_path):
    place = make(tmp_path, "1.png", "x/2.png", "x/red_cat/3.png", "dog/4.png")
    data = open_own(place, NAMES)
    assert data.class_names == NAMES
    assert labels(data.train) == {
        "1.png": UNLABELLED,
        "x/2.png": UNLABELLED,
        "x/red_cat/3.png": 1,
        "dog/4.png": 0,
    }


def listed(tmp_path, *rows):
    make(tmp_path, *(row[0] for row in rows[1:]))
    with (tmp_path / "list.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return str(tmp_path / "list.csv")


def test_rows_of_a_list_may_have_no_label_if_the_classes_are_named(tmp_path):
    rows = ["path", "label"], ["1.png", "dog"], ["2.png", ""]
    place = listed(tmp_path, *rows)
    data = open_own(place, NAMES)
    assert labels(data.train) == {"1.png": 0, "2.png": UNLABELLED}
    with pytest.raises(UserError, match=r"line 3: the image '2.png' has no label"):
        open_own(place)
    with pytest.raises(UserError, match=r"line 2, is 'dog'|class .*'dog'"):
        open_own(place, ("cat", "bird"))


def test_a_test_image_needs_a_label(tmp_path):
    rows = ["path", "label", "split"], ["1.png", "dog", "train"], ["2.png", "", "test"]
    with pytest.raises(UserError, match=r"line 3: the image '2.png' has no label"):
        open_own(listed(tmp_path, *rows), NAMES)


def test_what_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no"):
        open_own(str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no image in it"):
        open_own(str(tmp_path / "empty"), NAMES)
    with pytest.raises(UserError, match=r"no class folder.*--classes=names.txt"):
        open_own(make(tmp_path / "flat", "1.png"))


def test_a_part_of_the_labelled_images_is_put_aside(tmp_path):
    paths = [f"a/{n}.png" for n in range(10)] + ["b/1.png", "c/1.png", "c/2.png"]
    data = open_own(make(tmp_path, *paths, "1.png"), ("a", "b", "c"))
    parts = hold_out(data, seed=1)
    assert sorted(x.label for x in parts.val) == [0, 0, 2]  # b keeps its only one
    assert set(parts.train) | set(parts.val) == set(data.train)
    assert len(parts.train) + len(parts.val) == len(data.train)
    assert hold_out(data, seed=1) == parts
    assert hold_out(data, seed=2).val != parts.val
    assert hold_out(parts, seed=2) == parts  # a stated part is kept


def test_shots_of_unlabelled_images_are_images_not_images_per_class(tmp_path):
    paths = [f"{n}.png" for n in range(9)] + [f"dog/{n}.png" for n in range(4)]
    data = open_own(make(tmp_path, *paths), NAMES)
    drawn = few_shot(data, 2, seed=1).train
    assert sorted(x.label for x in drawn) == [*[UNLABELLED] * 4, 0, 0]
    more = few_shot(data, 4, seed=1).train
    assert set(drawn) < set(more)

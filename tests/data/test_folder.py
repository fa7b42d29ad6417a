"""Folders of images as people keep them: with splits, links, junk and odd suffixes."""

import functools
import os
import socket
from collections import Counter

import pytest
from PIL import Image, features

from fdbpl_jax.data.folder import split_folder
from fdbpl_jax.data.parts import split_classes
from fdbpl_jax.data.types import Example
from fdbpl_jax.errors import UserError


def paths(part):
    return [example.path for example in part]


def make_folder(root, counts):
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for n in range(count):
            (root / name / f"{n}.JPG").write_bytes(b"")
    return root


def test_folder_is_split_by_class(tmp_path, caplog):
    root = make_folder(tmp_path, {"b_b": 20, "a": 10, "c": 3, ".git": 1})
    (root / "a" / "notes.txt").write_text("mine")
    (root / "a" / "._0.jpg").write_bytes(b"")
    (root / "readme.md").write_text("mine")
    data = split_folder(root)
    assert data.class_names == ("a", "b_b", "c")
    counts = [Counter(e.label for e in p) for p in (data.train, data.val, data.test)]
    assert counts == [{0: 5, 1: 10, 2: 1}, {0: 2, 1: 4, 2: 1}, {0: 3, 1: 6, 2: 1}]
    every = paths(data.train + data.val + data.test)
    assert len(set(every)) == len(every) == 33
    assert all((root / path).is_file() for path in every)
    assert "ignored 1 entries that are no images: a/notes.txt" in caplog.text
    assert "left out 1 folders that are hidden or of no class: .git" in caplog.text


def test_folder_split_depends_on_the_seed_and_not_on_the_listing(tmp_path, monkeypatch):
    root = make_folder(tmp_path, {"a": 20, "b": 20})
    first = split_folder(root)
    split = functools.partial(split_classes, root, first.train, first.class_names, "")
    assert split(seed=1)["test"] != split()["test"]
    from fdbpl_jax.data import listing

    entries = listing._entries
    monkeypatch.setattr(listing, "_entries", lambda folder: entries(folder)[::-1])
    assert split_folder(root) == first


def test_folder_split_of_a_class_does_not_depend_on_others(tmp_path):
    alone = split_folder(make_folder(tmp_path / "one", {"b": 20}))
    both = split_folder(make_folder(tmp_path / "two", {"a": 9, "b": 20}))
    assert paths(alone.test) == [p for p in paths(both.test) if p.startswith("b/")]


def test_folders_that_are_no_classes_are_refused(tmp_path):
    with pytest.raises(UserError, match="no folder in it"):
        split_folder(tmp_path)
    make_folder(tmp_path / "set", {"here/cat": 5, "there/cat": 5})
    with pytest.raises(UserError, match=r"2 classes in .* 'here' \(0\), 'there' \(0\)"):
        split_folder(tmp_path / "set")
    make_folder(tmp_path / "same", {"a b": 3, "a_b": 3})
    with pytest.raises(UserError, match=r"'a b' and 'a_b' .* read the same"):
        split_folder(tmp_path / "same")


def sizes(data):
    return [len(part) for part in (data.train, data.val, data.test)]


def test_the_data_set_is_called_as_its_folder(tmp_path):
    data = split_folder(make_folder(tmp_path / "my set", {"a": 3}), "a scan of {}.")
    assert (data.name, data.template) == ("my set", "a scan of {}.")


@pytest.mark.parametrize("val", ["val", "valid", "dev", "Validation"])
def test_folders_of_splits_are_the_splits(tmp_path, val):
    counts = {"train/b": 2, "train/a": 3, f"{val}/a": 1, "test/a": 1, "test/b": 1}
    data = split_folder(make_folder(tmp_path, counts | {"__MACOSX/train": 1}))
    assert data.class_names == ("a", "b")
    assert data.val == (Example(f"{val}/a/0.JPG", 0),)
    assert data.test == (Example("test/a/0.JPG", 0), Example("test/b/0.JPG", 1))
    assert Counter(e.label for e in data.train) == {0: 3, 1: 2}
    assert all((data.root / path).is_file() for path in paths(data.train))


def test_without_a_test_split_val_is_tested_on(tmp_path, caplog):
    data = split_folder(make_folder(tmp_path, {"Train/a": 2, "val/a": 1}))
    assert (sizes(data), paths(data.test)) == ([2, 0, 1], ["val/a/0.JPG"])
    assert "has no split 'test': 'val' is tested on" in caplog.text


def test_a_lone_train_is_split_by_class(tmp_path):
    data = split_folder(make_folder(tmp_path, {"train/a": 10, "train/b": 10}))
    assert sizes(data) == [10, 4, 6]
    assert all(path.startswith("train/") for path in paths(data.test))


def test_splits_that_contradict_are_refused(tmp_path):
    make_folder(tmp_path / "two", {"val/a": 1, "valid/a": 1, "train/a": 1})
    with pytest.raises(UserError, match=r"two splits .* same part: train, val, valid"):
        split_folder(tmp_path / "two")
    make_folder(tmp_path / "flat", {"train/a": 1, "test": 1})
    with pytest.raises(UserError, match=r"flat/test' has no class folder in it"):
        split_folder(tmp_path / "flat")
    make_folder(tmp_path / "less", {"train/a": 1, "train/b": 1, "test/a": 1})
    with pytest.raises(UserError, match="no image in the split 'test': 'b'"):
        split_folder(tmp_path / "less")


def test_classes_that_are_called_like_splits_are_classes(tmp_path):
    data = split_folder(make_folder(tmp_path, {"train": 3, "test": 3}))
    assert data.class_names == ("test", "train")


def test_links_are_followed_wherever_they_lead(tmp_path):
    make_folder(tmp_path / "store", {"a": 10, "b": 10})
    plain = split_folder(tmp_path / "store")
    (tmp_path / "folders").mkdir()
    make_folder(tmp_path / "files", {"a": 0, "b": 0})
    for name in ("a", "b"):
        (tmp_path / "folders" / name).symlink_to(tmp_path / "store" / name)
        for file in (tmp_path / "store" / name).iterdir():
            (tmp_path / "files" / name / file.name).symlink_to(file)
    for links in (split_folder(tmp_path / name) for name in ("folders", "files")):
        assert (links.train, links.val, links.test) == (
            *(plain.train, plain.val, plain.test),
        )


def test_folders_of_archives_and_servers_are_left_out_with_one_line(tmp_path, caplog):
    junk = ("__MACOSX", "@eaDir", "lost+found", ".net", "a/@eaDir", "b/@eaDir")
    counts = {"a": 3, "b": 3} | dict.fromkeys(junk, 1)
    data = split_folder(make_folder(tmp_path, counts))
    assert data.class_names == ("a", "b")
    assert "left out 4 folders" in caplog.text
    assert ": .net, @eaDir, __MACOSX, lost+found" in caplog.text
    assert len(caplog.records) == 1


def test_images_are_known_by_their_first_bytes(tmp_path, caplog):
    root = make_folder(tmp_path, {"a": 0})
    picture = Image.new("RGB", (90, 70))
    kinds = {"1.jfif": "JPEG", "2.jpe": "JPEG", "3.jp2": "JPEG2000", "4": "PNG"}
    kinds |= {"5.pgm": "PPM", "6.dat": "WEBP"}
    if features.check("avif"):
        kinds["7.avif"] = "AVIF"
    for name, kind in kinds.items():
        picture.convert("L" if kind == "PPM" else "RGB").save(root / "a" / name, kind)
    others = {"Python": b"Python", "bmw.txt": b"BMW is a car", "empty": b""}
    others["x.svg"] = b"<svg/>"
    others["y.eps"] = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    for name, content in others.items():
        (root / "a" / name).write_bytes(content)
    data = split_folder(root)
    assert sorted(paths(data.train + data.val + data.test)) == [
        f"a/{name}" for name in sorted(kinds)
    ]
    assert f"ignored {len(others)} entries" in caplog.text
    assert len(caplog.records) == 1


def pipe(path):
    os.mkfifo(path)


def bound_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def device(path):
    path.symlink_to("/dev/zero")


def dangling(path):
    path.symlink_to("nothing")


@pytest.mark.parametrize("make", [pipe, bound_socket, device, dangling])
def test_what_could_hang_is_refused_by_name(tmp_path, make, monkeypatch):
    root = make_folder(tmp_path, {"a": 3})
    monkeypatch.chdir(root / "a")  # names of sockets are short
    make(root.__class__("x.png"))
    with pytest.raises(UserError, match=r"a/x\.png' is named like an image, and is a"):
        split_folder(root)
    (root / "a" / "x.png").unlink()
    make(root.__class__("x"))
    assert sizes(split_folder(root)) == [1, 1, 1]


@pytest.mark.parametrize("place", [b"caf\xe9", b"a/caf\xe9.jpg"])
def test_names_that_are_not_utf8_are_refused_by_name(tmp_path, place):
    root = make_folder(tmp_path, {"a": 3})
    path = os.path.join(os.fsencode(root), place)
    os.mkdir(path) if place == b"caf\xe9" else open(path, "wb").close()
    with pytest.raises(UserError, match=r"1 names that are not UTF-8: b'caf\\xe9"):
        split_folder(root)

"""A list of images in a CSV file, and everything that can be wrong with one."""

import os

import pytest

from fdbpl_jax.data.datasets import load_dataset
from fdbpl_jax.data.types import Example
from fdbpl_jax.errors import UserError


def written(folder, lines, files=None):
    folder.mkdir(exist_ok=True)
    for name in files if files is not None else [line.split(",")[0] for line in lines]:
        path = folder / name.strip('"')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder / "list.csv"


def listed(folder, lines, header="path,label,split", files=None):
    file = written(folder, lines, files)
    file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8-sig")
    return load_dataset("csv", file)


STATED = [
    "b/1.jpg,big bee,train",
    "a/1.jpg,ant,train",
    "a/2.jpg,ant,test",
    "b/2.jpg,big bee,test",
    "b/3.jpg,big bee,val",
]


def test_stated_splits_are_kept_and_classes_sorted(tmp_path):
    data = listed(tmp_path, STATED)
    assert data.class_names == ("ant", "big bee")
    assert data.train == (Example("b/1.jpg", 1), Example("a/1.jpg", 0))
    assert data.val == (Example("b/3.jpg", 1),)
    assert len(data.test) == 2
    assert data.root == tmp_path


def test_without_a_split_each_class_is_split_by_itself(tmp_path):
    lines = [f"{name}{n}.jpg,{name}" for name in ("ant", "bee") for n in range(10)]
    data = listed(tmp_path, lines, "path,label")
    for label in (0, 1):
        parts = data.train, data.val, data.test
        assert [sum(e.label == label for e in part) for part in parts] == [5, 2, 3]


def test_many_classes_are_sorted_whatever_the_order_of_rows(tmp_path):
    names = [f"class {n * 7 % 10}" for n in range(10)]
    lines = [f"{n}.jpg,{name},test" for n, name in enumerate(names)]
    data = listed(tmp_path, lines)
    assert data.class_names == tuple(sorted(names))
    assert [data.class_names[e.label] for e in data.test] == names


def test_quoted_commas_and_other_columns_are_read(tmp_path):
    lines = [f'{n},"x,{n}.jpg","ant, red",test' for n in range(3)]
    files = [f"x,{n}.jpg" for n in range(3)]
    data = listed(tmp_path, lines, "id,path,label,split", files)
    assert data.class_names == ("ant, red",)
    assert data.test[2].path == "x,2.jpg"


@pytest.mark.parametrize(
    ("lines", "header", "match"),
    [
        (STATED, "file,class", r"names the columns 'file', 'class'"),
        ([], "path,label", "has no row"),
        (["a.jpg"], "path,label", "line 2: 1 values for 2 columns"),
        (["a.jpg,"], "path,label", "line 2: the image 'a.jpg' has no label"),
        (["../a.jpg,ant"], "path,label", r"lists the path '../a.jpg'"),
        (["/a.jpg,ant"], "path,label", r"lists the path '/a.jpg'"),
        (["a.jpg,ant", "./a.jpg,ant"], "path,label", r"twice: 'a.jpg' .lines 2 and 3"),
        (["a.jpg,ant,tset"], "path,label,split", "Did you mean 'test'"),
        (
            ["a.jpg,ant,train"],
            "path,label,split",
            "no image in the split 'test': 'ant'",
        ),
        (["a.jpg,ant", "b.jpg,ant"], "path,label", "fewer than 3 images"),
        (["a.jpg,a b", "b.jpg,a_b"], "path,label", "read the same in a prompt"),
        ([*STATED, "c.jpg,ant,val"], "path,label,split", r"missing in .*: c.jpg"),
        (["a.jpg,a b,test", "b.jpg,a_b,test"], "path,label,split", "read the same"),
        (STATED, "path;label", r"names the columns 'path;label'"),
        (STATED, "path,label,split,split", r"names the columns .*'split', 'split'"),
        (["a.jpg,ant,small"], "path,label", "line 2: 3 values for 2 columns"),
        (["a.jpg,ant,"], "path,label,split", "unknown split in .*line 2, ''"),
        (["a\0.jpg,ant"], "path,label", r"line 2: path 'a\\x00"),
        (['"a.jpg,ant'], "path,label", "is not a CSV file"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, lines, header, match):
    with pytest.raises(UserError, match=match):
        listed(
            tmp_path,
            lines,
            header,
            ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "b/3.jpg"],
        )


def test_the_split_is_the_one_that_the_folder_reader_makes(tmp_path):
    lines = [f"{name}/{n}.jpg,{name}" for name in ("bee", "ant") for n in range(10)]
    data, folder = (
        listed(tmp_path, lines, "path,label"),
        load_dataset("folder", tmp_path),
    )
    assert (data.train, data.val, data.test) == (folder.train, folder.val, folder.test)
    assert data.template == folder.template


def test_link_to_an_image_outside_is_refused(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(UserError, match=r"links to places outside .*: a\.jpg"):
        listed(tmp_path / "set", ["a.jpg,ant,test"], files=[])


def test_files_that_are_no_lists_are_refused(tmp_path):
    with pytest.raises(UserError, match="cannot read the list"):
        load_dataset("csv", tmp_path / "no.csv")
    (tmp_path / "bad.csv").write_bytes(b"path,label\n\xff\xfe,ant\n")
    with pytest.raises(UserError, match="is not a CSV file in UTF-8"):
        load_dataset("csv", tmp_path / "bad.csv")


@pytest.mark.parametrize("name", ["validation", "valid", "dev", "Val"])
def test_other_names_of_val_are_val(tmp_path, name):
    data = listed(tmp_path, [line.replace(",val", f",{name}") for line in STATED])
    assert data == listed(tmp_path, STATED)
    assert data.val == (Example("b/3.jpg", 1),)


def test_backslashes_are_named(tmp_path):
    lines = [r"a\1.jpg,ant,test"]
    with pytest.raises(UserError, match=r"missing in .*: a\\1.jpg. Write '/' between"):
        listed(tmp_path, lines, files=["a/1.jpg"])


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "list.csv")
    with pytest.raises(UserError, match=r"cannot read .* pipe, socket or device"):
        load_dataset("csv", tmp_path / "list.csv")

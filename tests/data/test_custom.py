"""A list in a CSV file: read as it stands, every contradiction refused."""

from collections import Counter

import pytest

from fdbpl_jax.data.custom import read_csv
from fdbpl_jax.data.splits import split_folder
from fdbpl_jax.data.types import Example
from fdbpl_jax.errors import UserError


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "mine"
    for name in ("ant", "bee"):
        (root / name).mkdir(parents=True)
        for n in range(10):
            (root / name / f"{n}.jpg").write_bytes(b"")
    return root


def listed(root, *names):
    return [
        f"{name}/{n}.jpg,{name}" for name in names or ("ant", "bee") for n in range(10)
    ]


def write(root, *lines, header="path,label", encoding="utf-8"):
    file = root / "list.csv"
    file.write_text("\n".join([header, *lines]) + "\n", encoding=encoding)
    return file


def refused(file, match):
    with pytest.raises(UserError, match=match) as caught:
        read_csv(file)
    assert "list.csv" in caught.value.what
    return caught.value


def parts(data):
    return data.train, data.val, data.test


def test_stated_split_is_read_as_it_stands(root):
    lines = ["bee/0.jpg,bee,train", "ant/1.jpg,ant,val", "", "ant/./2.jpg, ant ,test"]
    file = write(root, *lines, "bee//3.jpg,bee,test", header="path,label,split")
    data = read_csv(file, "a drawing of a {}.")
    assert (data.name, data.root) == ("csv", root)
    assert data.template == "a drawing of a {}."
    assert data.class_names == ("ant", "bee")
    assert data.train == (Example("bee/0.jpg", 1),)
    assert data.val == (Example("ant/1.jpg", 0),)
    assert data.test == (Example("ant/2.jpg", 0), Example("bee/3.jpg", 1))


def test_without_a_split_it_is_the_folder_reader_s(root):
    file = write(root, *reversed(listed(root)))
    data, folder = read_csv(file), split_folder(root)
    assert parts(data) == parts(folder)
    assert data.template == folder.template
    counts = [Counter(e.label for e in part) for part in parts(data)]
    assert counts == [{0: 5, 1: 5}, {0: 2, 1: 2}, {0: 3, 1: 3}]


def test_byte_order_mark_quotes_and_other_columns(root):
    (root / "a, b.jpg").write_bytes(b"")
    line = '"a, b.jpg",x,"bee, the  ""honey"" one",test'
    file = write(root, line, header="path,id,label,split", encoding="utf-8-sig")
    data = read_csv(file)
    assert data.test == (Example("a, b.jpg", 0),)
    assert data.class_names == ('bee, the "honey" one',)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("ant/0.jpg,ant", "'ant/0.jpg', 'ant'"),
        ("path;label", "'path;label'"),
        ("path,path,label", "'path', 'path', 'label'"),
        ("path,label,split,split", "'split', 'split'"),
        ("", "nothing"),
    ],
)
def test_wrong_header_names_the_columns_found(root, header, found):
    error = refused(write(root, header=header), f"names the columns .*{found}")
    assert "must be 'path,label'" in error.do


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("ant/0.jpg", "line 2: 1 values for 2 columns"),
        ("ant/0.jpg,ant,small", "line 2: 3 values for 2 columns"),
        ("ant/0.jpg, ", r"line 2: path 'ant/0\.jpg', label ''"),
        (" ,ant", "line 2: path ' ', label 'ant'"),
        ("ant\0.jpg,ant", "line 2: path"),
        ("../mine/ant/0.jpg,ant", "lists the path '../mine"),
        ("/etc/hosts,ant", "lists the path '/etc/hosts'"),
        ('"ant/0.jpg,ant', "is not a CSV file"),
    ],
)
def test_wrong_row_is_refused_by_its_line(root, line, match):
    refused(write(root, line), match)


@pytest.mark.parametrize("split", ["tests", "", "Train"])
def test_unknown_split_is_refused(root, split):
    file = write(root, f"ant/0.jpg,ant,{split}", header="path,label,split")
    refused(file, rf"unknown split in .*line 2, '{split}'")


def test_lists_that_cannot_be_read_are_refused(root):
    refused(write(root), "has no row")
    refused(write(root, "ant/0.jpg,änt", encoding="latin-1"), "not a CSV file in UTF-8")
    (root / "list.csv").unlink()
    refused(root / "list.csv", "cannot read the list")
    (root / "list.csv").mkdir()
    refused(root / "list.csv", "cannot read the list")


def test_image_listed_twice_is_refused_with_its_lines(root):
    lines = [*listed(root), "ant//3.jpg,bee"]
    refused(write(root, *lines), r"1 images twice: 'ant/3\.jpg' \(lines 5 and 22\)")


def test_small_classes_are_refused(root):
    file = write(root, *listed(root, "ant"), "bee/0.jpg,bee", "bee/1.jpg,bee")
    refused(file, r"1 classes in .* fewer than 3 images.*'bee' \(2\)")


def test_class_that_is_never_tested_is_refused(root):
    lines = ["ant/0.jpg,ant,test", "bee/0.jpg,bee,train"]
    file = write(root, *lines, header="path,label,split")
    refused(file, "1 classes in .* have no image in the split 'test': 'bee'")


def test_names_that_read_the_same_are_refused(root):
    match = "'big ant' and 'big_ant' .* read the same"
    refused(write(root, "ant/0.jpg,big_ant", "ant/1.jpg,big ant"), match)
    lines = ["ant/0.jpg,big_ant,test", "ant/1.jpg,big ant,test"]
    refused(write(root, *lines, header="path,label,split"), match)


def test_missing_files_and_links_out_are_refused(root):
    refused(write(root, *listed(root), "ant/99.jpg,ant"), r"1 of the 21 .* ant/99\.jpg")
    (root.parent / "secret.jpg").write_bytes(b"")
    (root / "ant" / "link.jpg").symlink_to(root.parent / "secret.jpg")
    file = write(root, *listed(root), "ant/link.jpg,ant")
    refused(file, r"1 images that are links to places outside .* ant/link\.jpg")

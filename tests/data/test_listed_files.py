"""Files that a list names: there, below the root, and what is likely meant if not."""

import os

import pytest

from fdbpl_jax.data.listed_files import check_files
from fdbpl_jax.data.types import Example
from fdbpl_jax.errors import UserError


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "images"
    (root / "a").mkdir(parents=True)
    (root / "a" / "1.jpg").write_bytes(b"1")
    (root / "top.jpg").write_bytes(b"top")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.jpg").write_bytes(b"1")
    return root


def check(root, *paths):
    check_files(root.parent / "split.json", root, [Example(path, 0) for path in paths])


def test_files_that_exist_pass(root):
    check(root, "a/1.jpg", "top.jpg")


def test_missing_files_are_counted_and_listed(root):
    (root / "a" / "dir.jpg").mkdir()
    gone = [f"b/{n}.jpg" for n in range(6)]
    with pytest.raises(
        UserError, match=r"8 of the 10 images .* a/dir\.jpg, b/0\.jpg"
    ) as e:
        check(root, "a/1.jpg", "top.jpg", "a/dir.jpg", "top.jpg/x.jpg", *gone)
    assert "and 3 more" in e.value.what


def test_links_inside_the_root_pass(root):
    (root / "a" / "2.jpg").symlink_to("../top.jpg")
    (root / "b").symlink_to("a")
    link = root.parent / "link"
    link.symlink_to(root)
    check(link, "a/2.jpg", "b/1.jpg")


def test_links_out_of_the_root_are_refused(root):
    (root / "a" / "2.jpg").symlink_to("../../elsewhere/1.jpg")
    (root / "b").symlink_to("../elsewhere")
    with pytest.raises(UserError, match=r"2 images .* outside .* a/2\.jpg, b/1\.jpg"):
        check(root, "a/1.jpg", "a/2.jpg", "b/1.jpg")


def test_broken_links_are_missing(root):
    os.symlink("nothing.jpg", root / "a" / "2.jpg")
    os.symlink("3.jpg", root / "a" / "3.jpg")
    with pytest.raises(UserError, match=r"2 of the 3 .* a/2\.jpg, a/3\.jpg"):
        check(root, "a/1.jpg", "a/2.jpg", "a/3.jpg")


@pytest.mark.parametrize(
    ("path", "do"),
    [
        ("a\\1.jpg", "Write '/' between folders, not a backslash."),
        ("C:\\set\\1.jpg", "Write '/' between folders, not a backslash."),
        ("a/1.JPG", "There is 'a/1.jpg': write letters in the same case."),
        ("A/1.jpg", "There is 'a/1.jpg': write letters in the same case."),
        ("images/a/1.jpg", "There is 'a/1.jpg': leave out 'images/'."),
        ("1.jpg", "There is 'a/1.jpg': add 'a/' in front."),
        ("b.jpg", "Fetch the data set again, or use the list that belongs to it."),
    ],
)
def test_what_is_likely_meant_is_said(root, path, do):
    with pytest.raises(UserError, match="1 of the 2 images") as caught:
        check(root, "top.jpg", path)
    assert caught.value.do == do


def test_nothing_outside_is_looked_for(root):
    for path in ("x/../../elsewhere/1.jpg", "../elsewhere/1.jpg", "elsewhere/1.jpg"):
        with pytest.raises(UserError) as caught:
            check(root, path)
        assert "There is" not in str(caught.value)


def test_pipes_are_no_images(root):
    os.mkfifo(root / "a" / "2.jpg")
    with pytest.raises(UserError, match=r"1 of the 1 .* a/2\.jpg"):
        check(root, "a/2.jpg")

"""`python -m fdbpl_jax.data check`: what is wrong is said, and ends non-zero."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.data_sets import lay_out, touch

from fdbpl_jax.data.catalogue import CATALOGUE
from fdbpl_jax.data.check import check_dataset


def problems(name, root, **options):
    return "\n".join(check_dataset(name, root, **options).problems)


@pytest.fixture(name="root")
def _root(tmp_path, monkeypatch):
    """A Caltech101 of two classes and six images that is said to be whole."""
    lay_out("caltech101", tmp_path)
    layout = CATALOGUE["caltech101"]
    whole = {**vars(layout), "published": layout.published.__class__(2, 2, 2, 2)}
    small = {**CATALOGUE, "caltech101": layout.__class__(**whole)}
    monkeypatch.setattr("fdbpl_jax.data.check.CATALOGUE", small)
    return tmp_path


def test_a_whole_data_set_has_no_problem(root):
    finding = check_dataset("caltech101", root, decode=True)
    assert finding.problems == ()
    assert finding.files == 6


def test_what_is_not_there_says_where_it_goes(root):
    finding = check_dataset("dtd", root)
    assert not finding.there
    assert f"'{root}/dtd/images', with 'split_zhou_Des" in finding.problems[0]


@pytest.mark.parametrize("content", [b"", b"<html>404 Not Found</html>"])
def test_files_that_are_no_images_are_named(root, content):
    file = root / "caltech-101" / "101_ObjectCategories" / "ant" / "1_val.jpg"
    file.write_bytes(content)
    kind = "not an image of a known format" if content else "empty"
    assert f"1 files are no images: ant/1_val.jpg ({kind})" in problems(
        "caltech101", root
    )


def test_a_cut_image_is_found_by_decoding(root):
    file = root / "caltech-101" / "101_ObjectCategories" / "ant" / "1_val.jpg"
    file.write_bytes(file.read_bytes()[:-4])  # of its pixels
    assert problems("caltech101", root) == ""
    assert "1_val.jpg" in problems("caltech101", root, decode=True)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ([["ant/9.jpg", 1, "ant"]], "ant/9.jpg"),
        ([["ant/1_val.jpg", 1, "ant"]], "1 images twice"),
        ([["../ant/1.jpg", 1, "ant"]], "without '..'"),
        ([["ant/1_train.jpg", 5, "bee"]], "never used: 2"),
    ],
)
def test_contradictions_are_said_and_do_not_raise(root, change, match):
    file = root / "caltech-101" / "split_zhou_Caltech101.json"
    rows = json.loads(file.read_text())
    file.write_text(json.dumps(rows | {"train": rows["train"] + change}))
    assert match in problems("caltech101", root)


def test_another_size_is_said(root):
    file = root / "caltech-101" / "split_zhou_Caltech101.json"
    rows = json.loads(file.read_text())
    file.write_text(json.dumps(rows | {"val": []}))
    assert "0 val images where 2 are published" in problems("caltech101", root)


def test_copies_in_train_and_test_are_counted(root, caplog):
    check_dataset("caltech101", root, decode=True)
    assert "2 of 2 test images are training images, too" in caplog.text


def test_a_pipe_does_not_hang(root):
    file = root / "caltech-101" / "101_ObjectCategories" / "ant" / "1_val.jpg"
    file.unlink()
    os.mkfifo(file)
    assert "1_val.jpg" in problems("caltech101", root)


def test_own_data_are_checked(tmp_path):
    lines = ["path,label"]
    for name in ("a", "b"):
        for number in range(3):
            touch(tmp_path / "own" / name / f"{number}.jpg")
            lines.append(f"{name}/{number}.jpg,{name}")
    (tmp_path / "own" / "list.csv").write_text("\n".join(lines))
    findings = check_dataset("own", tmp_path)
    assert (findings.name, findings.files, findings.problems) == ("own", 6, ())
    assert check_dataset("folder", tmp_path / "own") == findings
    (tmp_path / "own" / "a" / "1.jpg").write_text("text")
    finding = check_dataset("csv", tmp_path / "own" / "list.csv")
    assert (finding.name, finding.files) == ("list", 6)
    assert "1 files are no images: a/1.jpg (not an image" in finding.problems[0]
    (tmp_path / "own" / "a" / "1.jpg").unlink()
    assert "a/1.jpg" in problems("csv", tmp_path / "own" / "list.csv")
    assert "'a' (2)" in problems("folder", tmp_path / "own")


def command(*flags):
    return subprocess.run(
        [sys.executable, "-m", "fdbpl_jax.data", *flags],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_the_command_ends_non_zero_only_when_something_is_wrong(tmp_path):
    done = command("check", f"--root={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("not there") == len(CATALOGUE)
    assert command("check", f"--root={tmp_path}", "--datasets=dtd").returncode == 1
    lay_out("dtd", tmp_path)
    done = command("check", f"--root={tmp_path}")
    assert done.returncode == 1
    assert "2 classes where 47 are published" in done.stdout
    done = command("check", f"--root={tmp_path}", "--datasets=dtdd")
    assert done.returncode == 2
    assert "Did you mean 'dtd'" in done.stderr
    words = f"--root={tmp_path}/dtd/images", "--datasets=folder"
    done = command("check", *words)
    assert (done.returncode, done.stdout[:7]) == (0, "images ")
    assert "2 classes; train 2, val 2, test 2" in done.stdout
    (tmp_path / "dtd" / "images" / "woven" / "1_val.jpg").unlink()
    done = command("check", *words)
    assert done.returncode == 1
    assert "fewer than 3 images, one each for train, val and test: 'woven' (2)" in (
        done.stdout
    )
    assert command("chek", f"--root={tmp_path}").returncode == 2
    assert command("check").returncode == 2
    assert command("check", f"--root={tmp_path}/no").returncode == 2

"""Data sets by name: real ones where they are present, and what is missing, said."""

import json
import os
import shutil

import pytest

from fdbpl_jax.data.catalogue import CATALOGUE
from fdbpl_jax.data.datasets import load_dataset, prompt_name
from fdbpl_jax.data.split_file import read_split
from fdbpl_jax.data.splits import few_shot, subset
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.errors import UserError

# Train images, base and new test images of the official splits, as published.
PUBLISHED = {
    "Caltech101": (4128, 1549, 916),
    "DescribableTextures": (2820, 864, 828),
    "EuroSAT": (13500, 4200, 3900),
    "OxfordFlowers": (4093, 1053, 1410),
    "OxfordPets": (2944, 1881, 1788),
    "StanfordCars": (6509, 4002, 4039),
    "UCF101": (7639, 1934, 1849),
}


@pytest.fixture
def root(tmp_path):
    """A data root with a tiny Caltech101 in it."""
    folder = tmp_path / "caltech-101"
    rows = {"train": [], "val": [], "test": []}
    for label, name in enumerate(["Faces", "big_ant"]):
        (folder / "101_ObjectCategories" / name).mkdir(parents=True)
        for n, split in enumerate(rows):
            path = f"{name}/{n}.jpg"
            (folder / "101_ObjectCategories" / path).write_bytes(b"")
            rows[split].append([path, label, name])
    (folder / "split_zhou_Caltech101.json").write_text(json.dumps(rows))
    return tmp_path


def test_loads_and_renames(root):
    data = load_dataset("caltech101", root)
    assert data.class_names == ("face", "big_ant")
    assert data.root == root / "caltech-101" / "101_ObjectCategories"
    assert [e.path for e in data.train] == ["Faces/0.jpg", "big_ant/0.jpg"]
    assert data.template == "a photo of a {}."
    assert prompt_name("big_ant") == "big ant"


def test_tilde_is_home(root, monkeypatch):
    monkeypatch.setenv("HOME", str(root.parent))
    data = load_dataset("caltech101", type(root)("~") / root.name)
    assert data.root.is_dir()


def refused(name, root, match):
    with pytest.raises(UserError, match=match):
        load_dataset(name, root)


def test_unknown_name_and_missing_root_are_refused(root):
    refused("caltec101", root, "Did you mean 'caltech101'")
    refused("dtd", root / "no", "no' is not a folder .looking for data set 'dtd'")
    refused("folder", root / "no", "is not a folder")
    refused("hf", root / "no", "is not a folder")


def test_missing_data_set_names_what_was_looked_for_and_found(root):
    refused("dtd", root, f"needs the folder 'dtd' in '{root}', .* holds: caltech-101")
    refused(
        "caltech101",
        root / "caltech-101",
        "data root .--config.data.root, or --data_root. to the folder",
    )


def test_missing_parts_are_refused(root):
    folder = root / "caltech-101"
    (folder / "101_ObjectCategories" / "big_ant" / "2.jpg").unlink()
    refused("caltech101", root, r"1 of the 6 images .* missing in .* big_ant/2\.jpg")
    shutil.rmtree(folder / "101_ObjectCategories")
    refused("caltech101", root, "images in '.*101_ObjectCategories', which is not a")


def test_missing_split_file_is_refused(root):
    (root / "caltech-101" / "split_zhou_Caltech101.json").unlink()
    refused(
        "caltech101", root, r"split file '.*split_zhou_Caltech101\.json' is missing"
    )


@pytest.fixture
def own(tmp_path):
    """A folder and a list of the same images, and a folder as the library saves it."""
    lines = ["path,label"]
    for name in ("a", "b"):
        (tmp_path / "flowers" / name).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "flowers" / name / f"{number}.jpg").write_bytes(b"")
            lines.append(f"{name}/{number}.jpg,{name}")
    (tmp_path / "flowers" / "leaves.csv").write_text("\n".join(lines))
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{}")
    return tmp_path


def test_own_data_are_called_by_their_folder_or_list(own, monkeypatch):
    folder = load_dataset("flowers", own, "a scan of a {}.")
    csv = load_dataset("flowers/leaves.csv", own)
    assert (folder.name, csv.name) == ("flowers", "leaves")
    assert (folder.train, folder.test) == (csv.train, csv.test)
    assert (folder.template, csv.template) == ("a scan of a {}.", "a photo of a {}.")
    with pytest.raises(UserError, match=r"saved/dataset_info.json'.*save_to_disk"):
        load_dataset("saved", own)
    # The name in results, with what was the root.
    for name, root in (("flowers", own / "flowers"), ("folder", own / "flowers")):
        assert load_dataset(name, root, folder.template) == folder
    for name in ("leaves", "csv"):
        assert load_dataset(name, own / "flowers" / "leaves.csv") == csv
    # However its path is written.
    monkeypatch.chdir(own / "flowers" / "a")
    monkeypatch.setenv("HOME", str(own))
    for name, root in (("..", "."), ("~/flowers", "/"), (str(own / "flowers"), "/no")):
        assert load_dataset(name, type(own)(root), folder.template) == folder
    refused("flower", own, "unknown data set 'flower', and there is no '.*flower'")


def test_own_data_whose_name_is_not_utf8_are_refused(own):
    place = os.fsencode(own) + b"/caf\xe9"
    os.rename(own / "flowers", place)
    refused("folder", type(own)(os.fsdecode(place)), "not UTF-8: b'caf.xe9'")


@pytest.mark.parametrize(
    ("name", "classes", "sizes"),
    [
        ("caltech101", 100, (1600, 400, 800)),
        ("eurosat", 5, (200, 50, 500)),
        ("dtd", 10, (320, 80, 300)),
    ],
)
def test_real_data(shared_dir, name, classes, sizes):
    data = load_dataset(name, shared_dir / "data")
    assert len(data.class_names) == classes
    assert (len(data.train), len(data.val), len(data.test)) == sizes
    drawn = few_shot(subset(data, "base"), 16, 1)
    assert len(drawn.train) == 16 * len(drawn.class_names)
    assert not any("_" in prompt_name(name) for name in data.class_names)
    assert data.template == CATALOGUE[name].template


def test_real_folder(shared_dir):
    data = load_dataset("folder", shared_dir / "data" / "dtd" / "images")
    assert len(data.class_names) == 10
    assert len(data.train) + len(data.val) + len(data.test) == 700


@pytest.mark.parametrize("name", PUBLISHED)
def test_official_splits_have_the_published_sizes(shared_dir, name):
    file = shared_dir / "reference" / "splits" / f"split_zhou_{name}.json"
    names, parts = read_split(file, str)
    data = Dataset(name, file.parent, names, "{}", **parts)
    tests = len(subset(data, "base").test), len(subset(data, "new").test)
    assert (len(data.train), *tests) == PUBLISHED[name]

"""All fifteen data sets, laid out as they are published, small."""

import json
from pathlib import Path

import pytest
from PIL import Image

from fdbpl_jax.data import class_names, imagenet
from fdbpl_jax.data.catalogue import CATALOGUE
from fdbpl_jax.data.datasets import load_dataset
from fdbpl_jax.data.split_file import SPLITS
from fdbpl_jax.data.types import prompt_name
from fdbpl_jax.errors import UserError

# Two classes of each: folder of the first image under the images' folder, name in the
# split file, and the name in a prompt.
SPLIT_FILES = {
    "caltech101": [("Faces", "Faces", "face"), ("ant", "ant", "ant")],
    "oxford_pets": [("", "Abyssinian", "abyssinian"), ("", "pug", "pug")],
    "stanford_cars": [
        ("cars_train", "2012 Audi TTS Coupe", "2012 Audi TTS Coupe"),
        ("cars_test", "Acura TL Sedan 2012", "2012 Acura TL Sedan"),
    ],
    "oxford_flowers": [
        ("", "passion flower", "passion flower"),
        ("", "rose", "rose"),
    ],
    "food101": [
        ("apple_pie", "apple_pie", "apple pie"),
        ("sushi", "sushi", "sushi"),
    ],
    "sun397": [
        ("a/abbey", "abbey", "abbey"),
        ("s/mall/indoor", "/s/shopping_mall/indoor", "indoor shopping mall"),
    ],
    "dtd": [("banded", "banded", "banded"), ("woven", "woven", "woven")],
    "eurosat": [
        ("SeaLake", "SeaLake", "Sea or Lake"),
        ("AnnualCrop", "Annual Crop Land", "Annual Crop Land"),
    ],
    "ucf101": [
        ("Archery", "Archery", "Archery"),
        ("Apply_Eye_Makeup", "ApplyEyeMakeup", "Apply Eye Makeup"),
    ],
}
WNIDS = [f"n{number:08d}" for number in range(3)]


def touch(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2)).save(file)


def lay_out(name: str, root: Path) -> None:
    """The data set with a few images, in exactly the published places."""
    layout = CATALOGUE[name]
    folder = root / layout.folder
    images = folder / layout.images
    if name in SPLIT_FILES:
        rows = {split: [] for split in SPLITS}
        for label, (place, raw, _) in enumerate(SPLIT_FILES[name]):
            for split in SPLITS:
                path = f"{place}/{label}_{split}.jpg".lstrip("/")
                touch(images / path)
                rows[split].append([path, label, raw])
        (folder / layout.lists).write_text(json.dumps(rows))
    elif name == "fgvc_aircraft":
        touch_aircraft(folder)
    else:
        touch_imagenet(name, images)
        lines = [f"{wnid} name of {wnid}" for wnid in WNIDS]
        (folder / layout.lists).write_text("\n".join(lines) + "\n")


def touch_aircraft(folder: Path) -> None:
    variants = ["707-320", "Model B200", "DR-400"]
    folder.mkdir(parents=True)
    (folder / "variants.txt").write_text("\n".join(variants) + "\n")
    for part, split in enumerate(SPLITS):
        lines = [f"{part}{n:06d} {name}" for n, name in enumerate(variants)]
        (folder / f"images_variant_{split}.txt").write_text("\n".join(lines) + "\n")
        for line in lines:
            touch(folder / "images" / f"{line.split()[0]}.jpg")


def touch_imagenet(name: str, images: Path) -> None:
    for number, wnid in enumerate(WNIDS):
        if name == "imagenet":
            for n in range(2):
                touch(images / "train" / wnid / f"{wnid}_{n}.JPEG")
            touch(images / "val" / wnid / f"ILSVRC2012_val_{number}.JPEG")
        elif name == "imagenetv2":
            touch(images / str(number) / "a.jpeg")
        else:
            touch(images / wnid / "a.jpg")
    if name in ("imagenet_a", "imagenet_r"):
        (images / "README.txt").write_text("not a class")


@pytest.fixture(name="root")
def _root(tmp_path, monkeypatch):
    small = {
        name: CATALOGUE[name].__class__(
            **{
                **vars(CATALOGUE[name]),
                "published": CATALOGUE[name].published.__class__(3, 0, 0, 3),
            }
        )
        for name in ("imagenet_sketch", "imagenet_a", "imagenet_r")
    }
    monkeypatch.setattr("fdbpl_jax.data.datasets.CATALOGUE", {**CATALOGUE, **small})
    for name in CATALOGUE:
        lay_out(name, tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", SPLIT_FILES)
def test_split_file_data_sets_read_with_their_names(root, name):
    data = load_dataset(name, root)
    words = [prompt_name(class_name) for class_name in data.class_names]
    assert words == [expected for _, _, expected in SPLIT_FILES[name]]
    assert [len(getattr(data, split)) for split in SPLITS] == [2, 2, 2]
    assert all((data.root / e.path).is_file() for e in data.train + data.test)


def test_aircraft_is_read_from_its_own_lists(root):
    data = load_dataset("fgvc_aircraft", root)
    assert data.class_names == ("707-320", "Model B200", "DR-400")
    assert [e.path for e in data.val] == [f"100000{n}.jpg" for n in range(3)]
    assert [e.label for e in data.val] == [0, 1, 2]
    lists = root / "fgvc_aircraft" / "images_variant_val.txt"
    lists.write_text("1000000 Spitfire\n")
    refused("fgvc_aircraft", root, "line 1: '1000000 Spitfire' names no variant")
    lists.unlink()
    refused("fgvc_aircraft", root, "images_variant_val.txt' cannot be read")


def test_imagenet_is_listed_in_order_and_the_list_kept(root, monkeypatch):
    data = load_dataset("imagenet", root)
    assert data.class_names == tuple(f"name of {wnid}" for wnid in WNIDS)
    assert [e.label for e in data.train] == [0, 0, 1, 1, 2, 2]
    assert [e.path for e in data.test] == [
        f"val/{wnid}/ILSVRC2012_val_{n}.JPEG" for n, wnid in enumerate(WNIDS)
    ]
    assert data.val == ()
    moved = root / "elsewhere"
    moved.mkdir()
    (root / "imagenet").rename(moved / "imagenet")
    monkeypatch.setattr("fdbpl_jax.data.listing.image_names", None)  # never again
    assert load_dataset("imagenet", moved).train == data.train


def test_imagenet_labels_follow_wnids_whatever_the_order_of_the_list(root):
    names = root / "imagenet" / "classnames.txt"
    names.write_text("\n".join(names.read_text().splitlines()[::-1]))
    data = load_dataset("imagenet", root)
    assert data.class_names == tuple(f"name of {wnid}" for wnid in WNIDS)


def test_a_changed_class_folder_is_listed_again(root):
    before = load_dataset("imagenet", root)
    touch(root / "imagenet" / "images" / "train" / WNIDS[1] / "new.JPEG")
    after = load_dataset("imagenet", root)
    assert len(after.train) == len(before.train) + 1
    kept = root / "imagenet" / "fdbpl_jax_train_list.json"
    for damaged in ("", "[]", '{"n00000000": {"mtime_ns": 1}}', "\0"):
        kept.write_text(damaged)
        assert load_dataset("imagenet", root) == after
    kept.write_text(kept.read_text().replace("new.JPEG", "../../x.JPEG"))
    assert load_dataset("imagenet", root) == after


@pytest.mark.parametrize(
    "name", ["imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r"]
)
def test_variants_are_for_testing_alone(root, name):
    data = load_dataset(name, root)
    assert data.class_names == tuple(f"name of {wnid}" for wnid in WNIDS)
    assert (data.train, data.val, len(data.test)) == ((), (), 3)
    assert [e.label for e in data.test] == [0, 1, 2]


def test_a_subset_of_the_classes_is_labelled_by_itself(root, monkeypatch):
    names = root / "imagenet-adversarial" / "classnames.txt"
    lines = names.read_text().splitlines()
    names.write_text("\n".join(["n00000000x first", *lines]) + "\n")
    data = load_dataset("imagenet_a", root)
    assert data.class_names[0] == f"name of {WNIDS[0]}"
    assert data.test[0].label == 0


def test_v2_counts_lines_as_numbers_not_as_words(root):
    folder = root / "imagenetv2"
    wnids = [f"n{n:08d}" for n in range(12)]
    (folder / "classnames.txt").write_text("".join(f"{w} c{w}\n" for w in wnids))
    for number in range(12):
        touch(folder / CATALOGUE["imagenetv2"].images / str(number) / "a.jpeg")
    data = load_dataset("imagenetv2", root)
    assert data.class_names[10] == "cn00000010"
    assert data.test[10].path == "10/a.jpeg"


def refused(name, root, match):
    with pytest.raises(UserError, match=match):
        load_dataset(name, root)


@pytest.mark.parametrize("name", ["imagenet", "imagenetv2", "imagenet_a"])
def test_missing_and_extra_class_folders_are_named(root, name):
    folder = root / CATALOGUE[name].folder / CATALOGUE[name].images
    folder = folder / "train" if name == "imagenet" else folder
    (folder / "stray").mkdir()
    refused(name, root, "1 class folders have no name: stray")
    (folder / "stray").rmdir()
    gone = sorted(path for path in folder.iterdir() if path.is_dir())[1]
    gone.rename(root / "gone")
    match = "has 2 class folders" if name == "imagenet_a" else "1 class folders are m"
    refused(name, root, match)


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_missing_part_is_named(root, name):
    layout = CATALOGUE[name]
    folder = root / layout.folder
    (folder / layout.lists).rename(root / "lists")
    refused(name, root, layout.lists.replace(".", r"\."))
    (root / "lists").rename(folder / layout.lists)
    if layout.images:
        (folder / layout.images).rename(root / "away")
        refused(name, root, f"{layout.images}', which is not a folder")
    folder.rename(root / "nowhere")
    refused(name, root, f"'{name}' needs the folder '{layout.folder}'")


def test_links_out_of_the_data_root_are_refused(root):
    outside = root / "outside"
    touch(outside / "x.JPEG")
    train = root / "imagenet" / "images" / "train"
    (train / WNIDS[0] / "y.JPEG").symlink_to(outside / "x.JPEG")
    refused("imagenet", root, r"links to places outside of it: y\.JPEG")
    (train / WNIDS[0] / "y.JPEG").unlink()
    (train / "n00000009").symlink_to(outside)
    refused("imagenet", root, "links to places outside of it: n00000009")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "names no class"),
        ("n00000000\n", "line 1 is 'n00000000'"),
        ("n0 a\nn0 b\n", "line 2 is 'n0 b'"),
    ],
)
def test_wrong_class_names_are_refused(tmp_path, text, match):
    file = tmp_path / "classnames.txt"
    file.write_text(text)
    with pytest.raises(UserError, match=match):
        imagenet.read_class_names(file)


def test_the_real_list_of_names_is_read(shared_dir):
    names = imagenet.read_class_names(
        shared_dir / "reference" / "imagenet_classnames.txt"
    )
    assert len(names) == 1000
    assert names["n01440764"] == "tench"


@pytest.mark.parametrize(
    ("rule", "raw", "name"),
    [
        (class_names.ucf101, "YoYo", "Yo_Yo"),
        (class_names.ucf101, "Apply_Eye_Makeup", "Apply_Eye_Makeup"),
        (class_names.stanford_cars, "AM General Hummer SUV 2000", None),
        (class_names.sun397, "/b/bow_window/outdoor", "outdoor bow_window"),
        (class_names.sun397, "abbey", "abbey"),
        (class_names.eurosat, "Highway", "Highway or Road"),
        (class_names.oxford_pets, "British_Shorthair", "british_shorthair"),
        (class_names.caltech101, "Motorbikes", "motorbike"),
    ],
)
def test_class_name_rules_leave_finished_names(rule, raw, name):
    assert rule(raw) == (name or "2000 AM General Hummer SUV")
    assert rule(rule(raw)) == rule(raw)

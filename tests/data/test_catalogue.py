"""All fifteen data sets, laid out as they are published, small."""

import pytest
from support.data_sets import SPLIT_FILES, WNIDS, lay_out, touch, wnids_of

from fdbpl_jax.data import class_names, imagenet
from fdbpl_jax.data.catalogue import CATALOGUE
from fdbpl_jax.data.datasets import load_dataset
from fdbpl_jax.data.split_file import SPLITS
from fdbpl_jax.data.types import Example, prompt_name
from fdbpl_jax.errors import UserError


@pytest.mark.parametrize("name", SPLIT_FILES)
def test_split_file_data_sets_read_with_their_names(tmp_path, name):
    root = lay_out(name, tmp_path)
    data = load_dataset(name, root)
    words = [prompt_name(class_name) for class_name in data.class_names]
    assert words == [expected for _, _, expected in SPLIT_FILES[name]]
    assert [len(getattr(data, split)) for split in SPLITS] == [2, 2, 2]
    assert all((data.root / e.path).is_file() for e in data.train + data.test)


def test_aircraft_is_read_from_its_own_lists(tmp_path):
    root = lay_out("fgvc_aircraft", tmp_path)
    data = load_dataset("fgvc_aircraft", root)
    assert data.class_names == ("707-320", "Model B200", "DR-400")
    assert [e.path for e in data.val] == [f"100000{n}.jpg" for n in range(3)]
    assert [e.label for e in data.val] == [0, 1, 2]
    lists = root / "fgvc_aircraft" / "images_variant_val.txt"
    lists.write_text("1000000 Spitfire\n")
    refused("fgvc_aircraft", root, "line 1: '1000000 Spitfire' names no variant")
    lists.unlink()
    refused("fgvc_aircraft", root, "images_variant_val.txt' cannot be read")


def test_imagenet_is_listed_in_order_and_the_list_kept(tmp_path, monkeypatch):
    root = lay_out("imagenet", tmp_path)
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


def test_imagenet_labels_follow_wnids_whatever_the_order_of_the_list(tmp_path):
    root = lay_out("imagenet", tmp_path)
    names = root / "imagenet" / "classnames.txt"
    names.write_text("\n".join(names.read_text().splitlines()[::-1]))
    data = load_dataset("imagenet", root)
    assert data.class_names == tuple(f"name of {wnid}" for wnid in WNIDS)


def test_a_changed_class_folder_is_listed_again(tmp_path):
    root = lay_out("imagenet", tmp_path)
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
def test_variants_are_for_testing_alone(tmp_path, name):
    root = lay_out(name, tmp_path)
    data = load_dataset(name, root)
    own = wnids_of(name)
    assert data.class_names == tuple(f"name of {wnid}" for wnid in own)
    assert (data.train, data.val) == ((), ())
    assert [e.label for e in data.test] == list(range(len(own)))


def test_only_their_own_classes_are_taken_from_the_list_of_names(tmp_path):
    root = lay_out("imagenet_a", tmp_path)
    names = root / "imagenet-adversarial" / "classnames.txt"
    names.write_text(f"n00000000x first\n{names.read_text()}")
    data = load_dataset("imagenet_a", root)
    assert data.class_names[0] == f"name of {wnids_of('imagenet_a')[0]}"
    assert data.test[0].label == 0


@pytest.mark.parametrize(
    ("name", "first", "last", "total"),
    [
        ("imagenet_a", [6, 11, 13, 15, 17], [981, 984, 986, 987, 988], 102_178),
        ("imagenet_r", [1, 2, 4, 6, 8], [967, 980, 981, 983, 988], 86_135),
    ],
)
def test_the_200_classes_are_those_of_the_authors(shared_dir, name, first, last, total):
    """By their places among the 1000, as the authors' evaluation code has them."""
    file = shared_dir / "reference" / "imagenet_classnames.txt"
    order = list(imagenet.read_class_names(file))
    places = [order.index(wnid) for wnid in imagenet.subset_wnids(name)]
    assert places == sorted(set(places))
    assert (places[:5], places[-5:], sum(places)) == (first, last, total)


def test_a_list_of_names_without_a_class_of_the_200_is_refused(tmp_path):
    root = lay_out("imagenet_r", tmp_path)
    names = root / "imagenet-rendition" / "classnames.txt"
    gone = imagenet.subset_wnids("imagenet_r")[7]
    lines = names.read_text().splitlines()
    names.write_text("\n".join(line for line in lines if gone not in line))
    refused("imagenet_r", root, f"has no line of 1 of the 200 classes .*: {gone}")


def test_v2_counts_lines_as_numbers_not_as_words(tmp_path):
    root = lay_out("imagenetv2", tmp_path)
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


def test_links_that_the_user_made_are_followed(tmp_path):
    root = lay_out("imagenet", tmp_path)
    before = load_dataset("imagenet", root)
    outside = tmp_path / "disk"
    train = root / "imagenet" / "images" / "train"
    (train / WNIDS[0]).rename(outside)
    touch(tmp_path / "x.JPEG")
    (outside / "y.JPEG").symlink_to(tmp_path / "x.JPEG")
    (train / WNIDS[0]).symlink_to(outside)
    after = load_dataset("imagenet", root)
    added = Example(f"train/{WNIDS[0]}/y.JPEG", 0)
    assert set(after.train) == {*before.train, added}
    (outside / "y.JPEG").unlink()
    (outside / "y.JPEG").symlink_to("nothing")
    refused("imagenet", root, r"y\.JPEG' is named like an image, .* link to nothing")
    (train / "n00000009").symlink_to("nothing")
    refused("imagenet", root, "1 links to nothing: n00000009")


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

import dataclasses
import json

import numpy as np
import pytest

from fdbpl_jax.config import CropConfig
from fdbpl_jax.errors import UserError
from fdbpl_jax.files.sealed import seal
from fdbpl_jax.ril import manifest, store
from fdbpl_jax.ril.inspect.verify import verify_table
from fdbpl_jax.ril.reader import EpochPlan, epoch_iterator
from fdbpl_jax.ril.spec import TableSpec
from fdbpl_jax.ril.table import array_shapes, check_fits, images_per_block, open_table

DIFFERENT = {
    "dataset": ("others", r"dataset 'pictures', not 'others'"),
    "class_names": (
        ("ant", "bee", "cow", "dog", "fox", "emu"),
        "classes in another order: class 4 is 'emu', not 'fox'",
    ),
    "template": ("{} texture.", r"template 'a photo of a \{\}.', not '\{\} texture.'"),
    "teacher": ("another", "teacher '.*', not 'another'"),
    "temperature": (100.0, r"temperature 90.0171, not 100.0"),
    "crop": (CropConfig(flip=0.0), "crop .*flip=0.5.*, not .*flip=0.0"),
    "seed": (1, "seed 3, not 1"),
    "regions": (7, "regions 6, fewer than 7"),
    "keep": (5, "keep 4, fewer than 5"),
}


def test_a_table_serves_what_it_was_built_for_and_less(table, spec):
    check_fits(table.spec, spec, "table")
    less = dataclasses.replace(spec, images=spec.images[3:9:2], regions=2, keep=1)
    check_fits(table.spec, less, "table")
    check_fits(
        table.spec, dataclasses.replace(spec, student="", feature_width=0), "table"
    )


@pytest.mark.parametrize("field", DIFFERENT)
def test_the_field_that_differs_is_named(table, spec, field):
    value, message = DIFFERENT[field]
    needed = dataclasses.replace(spec, **{field: value})
    with pytest.raises(UserError, match=f"does not fit.*{message}.*another folder"):
        check_fits(table.spec, needed, "table")


def test_other_classes_are_listed(table, spec):
    needed = dataclasses.replace(spec, class_names=("ant", "bee", "cow", "gnu"))
    with pytest.raises(UserError, match="6, not 4; only there: dog, emu, fox; only"):
        check_fits(table.spec, needed, "table")


def test_absent_and_changed_images_are_listed(table, spec):
    more = dataclasses.replace(spec.images[0], path="new.png")
    needed = dataclasses.replace(spec, images=(*spec.images, more))
    with pytest.raises(UserError, match=r"images: 1 are not in both: new\.png"):
        check_fits(table.spec, needed, "table")
    changed = dataclasses.replace(spec.images[2], hash="0" * 64)
    needed = dataclasses.replace(spec, images=(changed,))
    with pytest.raises(UserError, match="images: 1 have changed since"):
        check_fits(table.spec, needed, "table")


def test_features_of_another_student_are_missed(built):
    with pytest.raises(UserError, match=r"no features of student e.*ril build"):
        open_table(built, "e" * 64)


def test_spec_survives_json(spec):
    again = TableSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert again.fingerprint() == spec.fingerprint()


def test_spec_keeps_file_names_that_are_no_unicode(spec):
    odd = dataclasses.replace(spec.images[0], path="caf\udce9.jpg")
    spec = dataclasses.replace(spec, images=(odd,))
    stored = manifest.Manifest(spec, {"box": [("a", "b")]}, 1.5)
    assert manifest.decode(manifest.encode(stored), "") == stored


def test_fingerprint_is_of_rows_not_of_the_student(spec):
    other = dataclasses.replace(spec, student="", feature_width=0)
    assert other.fingerprint() == spec.fingerprint()
    for field, (value, _) in DIFFERENT.items():
        other = dataclasses.replace(spec, **{field: value})
        assert (other.fingerprint() == spec.fingerprint()) == (field == "temperature")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": ()}, "no image of data set 'pictures'"),
        ({"regions": 0}, "0 regions"),
        ({"keep": 0}, "0 labels"),
        ({"keep": 7}, "7 labels per region cannot be kept of 6 classes"),
    ],
)
def test_a_spec_that_makes_no_table_is_refused(spec, change, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(spec, **change)


def test_an_image_twice_or_too_long_is_refused(spec):
    with pytest.raises(UserError, match="listed twice: ant/000"):
        dataclasses.replace(spec, images=spec.images + spec.images[:1])
    long = dataclasses.replace(spec.images[0], size=(3, 65_536))
    with pytest.raises(UserError, match="longer than 65535 pixels: ant/000"):
        dataclasses.replace(spec, images=(long,))


def test_many_classes_need_wider_labels(spec):
    names = tuple(map(str, range(65_537)))
    many = dataclasses.replace(spec, class_names=names)
    assert array_shapes(many, "", 0)["label_index"] == ((40, 6, 4), "uint32")
    assert array_shapes(spec, "", 0)["label_index"] == ((40, 6, 4), "uint16")


def test_blocks_hold_a_bounded_number_of_regions(spec):
    assert images_per_block(spec) == 16
    assert images_per_block(dataclasses.replace(spec, regions=5000)) == 3
    assert images_per_block(dataclasses.replace(spec, regions=50_000)) == 1


def test_arrays_are_plain_zarr(built):
    """Another reader of zarr v3 finds all it needs beside the data."""
    found = json.loads((built / "label_prob" / "zarr.json").read_text())
    assert (found["zarr_format"], found["node_type"]) == (3, "array")
    assert found["shape"] == [40, 6, 4]
    assert found["data_type"] == "float16"
    assert found["chunk_grid"]["configuration"]["chunk_shape"] == [16, 6, 4]
    (sharding,) = found["codecs"]
    assert sharding["name"] == "sharding_indexed"
    assert sharding["configuration"]["chunk_shape"] == [16, 1, 4]
    inner = [codec["name"] for codec in sharding["configuration"]["codecs"]]
    assert inner == ["bytes", "zstd", "crc32c"]


@pytest.mark.parametrize("path", ["memory://table", "memory://", "nothing://x"])
def test_a_place_that_keeps_no_table_is_refused(path):
    with pytest.raises(UserError, match="is no place for a RIL table"):
        store.open_folder(path)


def test_home_folders_are_found_and_unknown_ones_are_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.folder_path(store.open_folder("~/t")) == tmp_path / "t"
    unknown = store.folder_path(store.open_folder("~nobody-of-this-name/t"))
    assert unknown.parts[-2:] == ("~nobody-of-this-name", "t")


def test_legal_zeros_survive(tmp_path):
    folder = store.open_folder(tmp_path)
    array = store.open_array(folder, "flip", (5, 3), "bool", 2)
    zeros = np.zeros((2, 3), bool)
    store.write_block(folder, {"flip": array}, 1, {"flip": zeros})
    assert (tmp_path / "flip/c/1/0").exists()
    np.testing.assert_array_equal(array[2:4].read().result(), zeros)
    with pytest.raises(UserError, match="missing"), store.store_errors(folder, "flip"):
        array[0:2].read().result()


def read_epochs(path):
    table = open_table(path)
    rows = np.arange(len(table.spec.images))
    plan = EpochPlan(6, 1, 8, "slab", 0)
    return list(epoch_iterator(table, rows, rows.astype(np.int32), plan))


@pytest.mark.parametrize("consume", [verify_table, read_epochs])
@pytest.mark.parametrize("array", ["label_prob", "label_index", "entropy", "feature"])
def test_a_lost_shard_is_not_read_as_zeros(copy, student, array, consume):
    name = f"feature/{student.fingerprint}" if array == "feature" else array
    shard = next((copy / name / "c/1").rglob("0*"))
    shard = shard if shard.is_file() else shard / "0"
    shard.unlink()
    with pytest.raises(UserError) as caught:
        consume(copy)
    assert str(shard) in caught.value.what
    assert "build again with the same settings" in caught.value.do


@pytest.mark.parametrize("consume", [verify_table, read_epochs])
@pytest.mark.parametrize("place", [0.3, 0.999])
@pytest.mark.parametrize("array", ["label_prob", "feature"])
def test_a_flipped_byte_is_noticed(copy, student, array, place, consume):
    name = f"feature/{student.fingerprint}" if array == "feature" else array
    shard = copy / name / "c/0/0/0"
    content = bytearray(shard.read_bytes())
    content[int(place * len(content))] ^= 16
    shard.write_bytes(content)
    with pytest.raises(UserError) as caught:
        consume(copy)
    assert str(shard) in caught.value.what
    assert name in caught.value.what


@pytest.mark.parametrize("name", ["label_prob/zarr.json", "manifest.json"])
@pytest.mark.parametrize("change", ["cut", "gone"])
def test_damaged_descriptions_are_refused(copy, name, change):
    file = copy / name
    if change == "cut":
        file.write_bytes(file.read_bytes()[:150])
    else:
        file.unlink()
    with pytest.raises(UserError, match=r"label_prob|manifest|no finished RIL table"):
        open_table(copy)


def test_a_manifest_changed_by_hand_is_refused(copy):
    file = copy / "manifest.json"
    file.write_text(file.read_text().replace('"ant"', '"ape"'))
    with pytest.raises(UserError, match="check sum is wrong"):
        open_table(copy)


def test_a_table_of_another_schema_is_refused(copy):
    file = copy / "manifest.json"
    file.write_text(file.read_text().replace('"schema": 3', '"schema": 2'))
    with pytest.raises(UserError, match="check sum is wrong"):
        open_table(copy)
    values = {"format": "fdbpl_jax RIL table", "schema": 4}
    file.write_text(json.dumps(seal(values)))
    with pytest.raises(UserError, match="schema 4, not 3"):
        open_table(copy)


def test_an_array_of_another_shape_is_refused(copy):
    file = copy / "entropy" / "zarr.json"
    file.write_text(file.read_text().replace("[40,6]", "[41,6]"))
    with pytest.raises(UserError, match="another shape or layout"):
        open_table(copy)


def test_nothing_there_is_said_so_and_nothing_made(tmp_path):
    with pytest.raises(UserError, match="no finished RIL table"):
        open_table(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(UserError, match="no place for a RIL table"):
        open_table("nowhere://table")


def test_a_url_is_a_path_too(built):
    assert open_table(f"file://{built}").spec == open_table(built).spec

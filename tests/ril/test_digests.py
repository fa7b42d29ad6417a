"""Every block is tied to its place: nothing exchanged, changed or mixed is read."""

import dataclasses
import json
import math
import shutil

import numpy as np
import pytest
import tensorstore as ts

from fdbpl_jax.config import CropConfig, RilConfig
from fdbpl_jax.errors import UserError
from fdbpl_jax.files.sealed import digest
from fdbpl_jax.ril import ledger, manifest, store
from fdbpl_jax.ril.build import build_table, plan_spec
from fdbpl_jax.ril.digests import block_digest, sample_slots
from fdbpl_jax.ril.inspect.verify import verify_table
from fdbpl_jax.ril.records import write_block
from fdbpl_jax.ril.table import open_table, open_unchecked

ARRAYS = ("box", "flip", "label_index", "label_prob", "entropy", "feature")


def place(table, student, array, block):
    """The shard of a block."""
    name = f"feature/{student.fingerprint}" if array == "feature" else array
    return next(f for f in (table / name / "c" / str(block)).rglob("0") if f.is_file())


def exchange(one, other):
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


@pytest.mark.parametrize("check", [open_table, verify_table])
@pytest.mark.parametrize("array", ARRAYS)
def test_two_exchanged_shards_are_refused(copy, student, array, check):
    exchange(*(place(copy, student, array, block) for block in (0, 1)))
    with pytest.raises(UserError, match=array):
        check(copy)


@pytest.mark.parametrize("check", [open_table, verify_table])
def test_a_shard_of_another_table_is_refused(
    copy, tmp_path, dataset, spec, teacher, student, check
):
    other = dataclasses.replace(spec, seed=4)
    build_table(tmp_path / "other", other, dataset.root, teacher, student)
    shutil.copy(*(place(t, student, "box", 1) for t in (tmp_path / "other", copy)))
    with pytest.raises(UserError, match="box/c/1' is not what was written"):
        check(copy)


@pytest.mark.parametrize("check", [open_table, verify_table])
def test_shards_exchanged_between_builds_are_found_in_the_end(
    tmp_path, built, dataset, spec, teacher, student, check
):
    path = tmp_path / "t"
    shutil.copytree(built, path)
    records(built, path, spec)
    exchange(*(place(path, student, "entropy", block) for block in (0, 1)))
    build_table(path, spec, dataset.root, teacher, student)
    with pytest.raises(UserError, match="entropy/c/0' is not what was written"):
        check(path)


def records(built, path, spec):
    """Make a finished table one whose build was killed just before its end."""
    digests = open_unchecked(built).digests
    for file in path.rglob("manifest.json"):
        file.unlink()
    folder = store.open_folder(path)
    store.write_file(folder, manifest.RECORD, manifest.encode(manifest.Manifest(spec)))
    table = open_unchecked(built)
    for block in range(3):
        rows = np.arange(16 * block, min(16 * block + 16, 40))
        values = table.read(list(digests), rows, np.arange(spec.regions))
        write_block(folder, ledger.open_arrays(folder, spec), block, values, 1.5)


def test_a_build_killed_before_its_end_only_ends(
    tmp_path, built, files, dataset, spec, teacher, student
):
    path = shutil.copytree(built, tmp_path / "t")
    records(built, path, spec)
    assert build_table(path, spec, dataset.root, teacher, student).regions_built == 0
    assert files(path) == files(built)
    assert open_table(path).seconds == 4.5


@pytest.mark.parametrize("damage", ["lost", "cut", "exchanged"])
def test_a_block_without_its_record_is_built_again(
    tmp_path, built, files, dataset, spec, teacher, student, damage
):
    path = shutil.copytree(built, tmp_path / "t")
    records(built, path, spec)
    record = path / "building" / "000001.json"
    if damage == "exchanged":
        shutil.copy(path / "building" / "000000.json", record)
    else:
        record.write_bytes(record.read_bytes()[:50])
        if damage == "lost":
            record.unlink()
    report = build_table(path, spec, dataset.root, teacher, student)
    assert report.regions_built == 16 * 6
    assert files(path) == files(built)


def as_before(table):
    """Turn a table into one of an earlier version, without digests."""
    file = table / "manifest.json"
    values = json.loads(file.read_text())
    head = {"format": values.pop("format"), "schema": 2}
    for name in ("schema", "sha256", "digests", "build_seconds", "batch"):
        del values[name]
    file.write_text(json.dumps(head | {"sha256": digest(values)} | values))
    for file in table.glob("feature/*/manifest.json"):
        student = {"student": file.parent.name, "feature_width": 10}
        file.write_text(json.dumps(student))
    return table


def test_a_table_of_an_earlier_version_is_read_verified_and_mended(
    copy, built, dataset, spec, teacher, student
):
    before, table = open_table(built), open_table(as_before(copy))
    assert table.spec == dataclasses.replace(spec, batch=0)
    assert (table.digests, table.seconds) == ({}, 0)
    slots, rows = np.arange(6), np.arange(40)
    names = list(table.arrays)
    for name, value in table.read(names, rows, slots).items():
        np.testing.assert_array_equal(value, before.read([name], rows, slots)[name])
    assert verify_table(copy).students == 1
    content = (copy / "manifest.json").read_bytes()
    shard = place(copy, student, "label_prob", 1)
    intact = shard.read_bytes()
    shard.unlink()
    build_table(copy, spec, dataset.root, teacher, student)
    assert shard.read_bytes() == intact
    assert (copy / "manifest.json").read_bytes() == content
    second = dataclasses.replace(student, fingerprint="f" * 64)
    other = dataclasses.replace(spec, student="f" * 64)
    build_table(copy, other, dataset.root, teacher, second)
    assert list(open_table(copy, "f" * 64).digests) == [f"feature/{'f' * 64}"]


def test_a_block_made_again_with_other_values_has_its_new_digest(
    copy, dataset, spec, teacher, student
):
    """As another machine may round."""
    folder, table = store.open_folder(copy), open_table(copy)
    values = table.read(["entropy"], np.arange(16, 32), np.arange(6))["entropy"] * 0.99
    arrays = {"entropy": table.arrays["entropy"]}
    write_block(folder, arrays, 1, {"entropy": values}, 0.0)
    build_table(copy, spec, dataset.root, teacher, student)
    verify_table(copy)
    rows = open_table(copy).read(["entropy"], np.arange(16, 32), np.arange(6))
    np.testing.assert_array_equal(rows["entropy"], values)


@pytest.mark.parametrize("name", ["manifest.json", "feature/{}/manifest.json"])
def test_a_flipped_bit_of_a_manifest_is_refused(copy, student, name):
    file = copy / name.format(student.fingerprint)
    content = file.read_bytes()
    for at in range(0, len(content), max(1, len(content) // 60)):
        flipped = bytearray(content)
        flipped[at] ^= 1
        file.write_bytes(flipped)
        with pytest.raises(UserError):
            open_table(copy)
    file.write_bytes(content)
    open_table(copy)


def test_arrays_cut_another_way_are_refused(copy):
    file = copy / "entropy" / "zarr.json"
    for name in ("box", "entropy"):
        file = copy / name / "zarr.json"
        file.write_text(
            file.read_text().replace('"chunk_shape":[16,', '"chunk_shape":[8,')
        )
    with pytest.raises(UserError):
        open_table(copy)


def test_a_sample_tells_blocks_of_few_images_apart():
    assert [sample_slots(n, 500) for n in (256, 64, 16, 3, 1)] == [1, 1, 4, 22, 64]
    assert sample_slots(1, 9) == 9


def test_a_digest_is_of_array_place_shape_and_type():
    values = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    actual = [
        block_digest("box", 0, values),
        block_digest("box", 1, values),
        block_digest("fox", 0, values),
        block_digest("box", 0, values.astype(np.int16)),
        block_digest("box", 0, values.reshape(2, 4, 3)),
        block_digest("box", 0, values + 1),
    ]
    assert len(set(actual)) == 6
    assert actual[0] == block_digest("box", 0, np.asfortranarray(values))


def test_the_batch_is_recorded_and_another_is_refused(
    tmp_path, built, dataset, spec, teacher, student
):
    other = plan_spec(
        dataset, teacher, student, RilConfig(keep=4, seed=3), 6, batch_size=40
    )
    assert (spec.batch, other.batch) == (128, 40)
    assert other.fingerprint() == spec.fingerprint()
    folder = store.open_folder(tmp_path / "t")
    ledger.begin(folder, spec)
    with pytest.raises(UserError, match="unfinished RIL table with batch 128, not 40"):
        build_table(tmp_path / "t", other, dataset.root, teacher, student)
    with pytest.raises(UserError, match="holds a RIL table with batch 128, not 40"):
        build_table(built, other, dataset.root, teacher, student)


def test_the_time_of_a_build_is_kept(built):
    table = open_table(built)
    assert table.seconds > 0
    assert json.loads((built / "manifest.json").read_text())["build_seconds"] > 0
    assert open_table(built).seconds == table.seconds


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        (CropConfig(flip=math.nan), "flip is nan"),
        (CropConfig(flip=1.5), "flip is 1.5"),
        (CropConfig(scale=(0.5, 1.5)), r"scale is \(0.5, 1.5\)"),
        (CropConfig(scale=(math.nan, 1.0)), "scale is"),
        (CropConfig(ratio=(1.0, math.inf)), r"ratio is \(1.0, inf\)"),
        (CropConfig(ratio=(2.0, 1.0)), r"ratio is \(2.0, 1.0\)"),
    ],
)
def test_a_crop_that_draws_nothing_makes_no_table(
    dataset, teacher, spec, crop, message
):
    nowhere = dataclasses.replace(dataset, root=dataset.root / "nowhere")
    with pytest.raises(UserError, match=message):  # before any image is read
        plan_spec(nowhere, teacher, None, RilConfig(crop=crop), 2)
    with pytest.raises(UserError, match=message):
        dataclasses.replace(spec, crop=crop)


def test_files_of_an_object_store_are_listed_and_removed():
    folder = ts.KvStore.open("memory://table/").result()
    for name in ("building/000001.json", "building/spec.json", "manifest.json"):
        store.write_file(folder, name, b"{}")
    assert sorted(store.list_files(folder, "building/")) == ["000001.json", "spec.json"]
    store.remove_folder(folder, "building/")
    assert store.list_files(folder, "building/") == []
    assert store.read_file(folder, "manifest.json") == b"{}"

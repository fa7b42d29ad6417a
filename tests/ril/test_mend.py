"""What a build does with a folder in which something is already."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest

from fdbpl_jax.clip.model import image_features
from fdbpl_jax.config import CropConfig, RilConfig
from fdbpl_jax.errors import UserError
from fdbpl_jax.ril import blocks, compute, ledger, manifest, store
from fdbpl_jax.ril.blocks import BuildSettings
from fdbpl_jax.ril.build import build_table, ensure_table, plan_spec
from fdbpl_jax.ril.inspect.verify import verify_table
from fdbpl_jax.ril.table import open_table


def test_shards_make_one_table(files, tmp_path, built, dataset, spec, teacher, student):
    path = tmp_path / "t"
    first = build_table(
        path, spec, dataset.root, teacher, student, settings=BuildSettings(shard=(0, 2))
    )
    assert first.regions_built == (16 + 8) * 6
    with pytest.raises(UserError, match="no finished RIL table"):
        open_table(path)
    second = build_table(
        path, spec, dataset.root, teacher, student, settings=BuildSettings(shard=(1, 2))
    )
    assert (second.regions_built, second.regions) == (16 * 6, 40 * 6)
    assert files(path) == files(built)


FIELDS = {
    "dataset": "others",
    "class_names": ("bee", "ant", "cow", "dog", "emu", "fox"),
    "template": "{} texture.",
    "teacher": "another",
    "temperature": 100.0,
    "student": "another",
    "feature_width": 11,
    "crop": CropConfig(flip=0.0),
    "seed": 1,
    "regions": 7,
    "keep": 5,
    "batch": 64,
}


@pytest.mark.parametrize("field", FIELDS)
def test_going_on_with_another_spec_is_refused(tmp_path, spec, field):
    folder = store.open_folder(tmp_path / "t")
    ledger.begin(folder, spec)
    ledger.begin(folder, spec)
    other = dataclasses.replace(spec, **{field: FIELDS[field]})
    words = {"class_names": "classes in another order: class 0 is 'ant', not 'bee'"}
    with pytest.raises(UserError, match=words.get(field, field)):
        ledger.begin(folder, other)


def test_going_on_with_other_images_is_refused(tmp_path, spec):
    folder = store.open_folder(tmp_path / "t")
    ledger.begin(folder, spec)
    fewer = dataclasses.replace(spec, images=spec.images[1:])
    with pytest.raises(UserError, match=r"images: 1 are not in both: ant/000.jpg"):
        ledger.begin(folder, fewer)
    changed = dataclasses.replace(spec.images[0], hash="0" * 64)
    other = dataclasses.replace(spec, images=(changed, *spec.images[1:]))
    with pytest.raises(UserError, match=r"1 have changed since: ant/000.jpg"):
        ledger.begin(folder, other)
    turned = dataclasses.replace(spec, images=spec.images[::-1])
    with pytest.raises(UserError, match="same images in another order"):
        ledger.begin(folder, turned)


def test_building_over_a_finished_table_of_another_spec_is_refused(
    copy, dataset, spec, teacher, student
):
    other = dataclasses.replace(spec, seed=1)
    with pytest.raises(UserError, match="holds a RIL table with seed 3, not 1"):
        build_table(copy, other, dataset.root, teacher, student)


def test_arrays_without_a_manifest_are_not_built_on(
    copy, dataset, spec, teacher, student
):
    (copy / manifest.MANIFEST).unlink()
    with pytest.raises(UserError, match="no manifest"):
        build_table(copy, spec, dataset.root, teacher, student)


@pytest.mark.parametrize("array", ["label_prob", "box", "feature"])
def test_a_lost_shard_is_made_again_as_it_was(
    files, copy, built, monkeypatch, dataset, spec, teacher, student, array
):
    name = f"feature/{student.fingerprint}" if array == "feature" else array
    (copy / name / "c/1/0/0").unlink()
    used = set()

    def features(clip, pixels):
        used.add(clip.fingerprint)
        return image_features(clip, pixels)

    monkeypatch.setattr(compute, "image_features", features)
    report = build_table(copy, spec, dataset.root, teacher, student)
    assert report.regions_built == 16 * 6
    assert used == {student.fingerprint if array == "feature" else teacher.fingerprint}
    assert files(copy) == files(built)


def test_stored_regions_are_not_drawn_again(
    files, copy, built, monkeypatch, dataset, spec, teacher, student
):
    (copy / "label_prob/c/1/0/0").unlink()
    monkeypatch.setattr(blocks, "draw_regions", None)  # another rule than when built
    build_table(copy, spec, dataset.root, teacher, student)
    assert files(copy) == files(built)


def test_a_finished_table_is_left_alone(copy, dataset, spec, teacher, student):
    before = {file: file.stat().st_mtime_ns for file in copy.rglob("*")}
    assert build_table(copy, spec, dataset.root, teacher, student).regions_built == 0
    table, report = ensure_table(copy, spec, dataset.root, teacher, student)
    assert report is None
    assert table.student == student.fingerprint
    assert {file: file.stat().st_mtime_ns for file in copy.rglob("*")} == before


def test_added_features_are_those_of_a_build_with_them(
    files, tmp_path, built, dataset, spec, teacher, student
):
    bare = dataclasses.replace(spec, student="", feature_width=0)
    path = tmp_path / "bare"
    build_table(path, bare, dataset.root, teacher, None)
    with pytest.raises(UserError, match="no features of student"):
        open_table(path, student.fingerprint)
    _, report = ensure_table(path, spec, dataset.root, teacher, student)
    assert report.regions_built == 40 * 6
    name = f"feature/{student.fingerprint}/c"
    assert files(path / name) == files(built / name)
    second = dataclasses.replace(student, fingerprint="f" * 64)
    other = dataclasses.replace(spec, student="f" * 64)
    build_table(path, other, dataset.root, teacher, second)
    assert files(path / f"feature/{'f' * 64}/c") == files(built / name)
    assert verify_table(path).students == 2
    assert open_table(path).student == ""
    assert not (path / "building").exists()


def test_blocks_stay_as_they_were_cut(
    copy, built, files, monkeypatch, dataset, spec, teacher, student
):
    monkeypatch.setattr(ledger, "images_per_block", lambda _: 7)
    second = dataclasses.replace(student, fingerprint="f" * 64)
    other = dataclasses.replace(spec, student="f" * 64)
    build_table(copy, other, dataset.root, teacher, second)
    name = f"feature/{student.fingerprint}/c"
    assert files(copy / f"feature/{'f' * 64}/c") == files(built / name)


def test_processes_return_when_the_whole_table_is_there(
    tmp_path, built, files, dataset, spec, teacher, student
):
    path = tmp_path / "t"

    def ensure(index):
        return ensure_table(
            path,
            spec,
            dataset.root,
            teacher,
            student,
            settings=BuildSettings(shard=(index, 2)),
        )

    with ThreadPoolExecutor(2) as pool:
        (one, first), (two, second) = pool.map(ensure, range(2))
    assert one.spec == two.spec == spec
    assert {first.regions_built, second.regions_built} == {16 * 6, 24 * 6}
    assert files(path) == files(built)


def test_processes_that_never_come_are_not_waited_for_for_ever(
    tmp_path, monkeypatch, dataset, spec, teacher, student
):
    monkeypatch.setattr(ledger, "_PATIENCE", 0.5)
    path = tmp_path / "t"
    with pytest.raises(UserError, match=r"no other process .* 2 blocks are missing"):
        ensure_table(
            path,
            spec,
            dataset.root,
            teacher,
            student,
            settings=BuildSettings(shard=(1, 2)),
        )


def test_ensure_builds_then_opens(tmp_path, dataset, spec, teacher, student):
    path = tmp_path / "t"
    table, report = ensure_table(path, spec, dataset.root, teacher, student)
    assert report.regions_built == 40 * 6
    assert table.spec == spec
    few = dataclasses.replace(dataset, train=dataset.train[3:9])
    smaller = plan_spec(few, teacher, student, RilConfig(keep=2, seed=3), 3)
    table, report = ensure_table(path, smaller, dataset.root, teacher, student)
    assert report is None
    assert table.spec == spec
    with pytest.raises(UserError, match="regions 6, fewer than 9"):
        ensure_table(
            path,
            dataclasses.replace(smaller, regions=9),
            dataset.root,
            teacher,
            student,
        )


def test_ensure_mends_a_lost_shard(files, copy, built, dataset, spec, teacher, student):
    (copy / "entropy/c/0/0").unlink()
    _, report = ensure_table(copy, spec, dataset.root, teacher, student)
    assert report.regions_built == 16 * 6
    assert files(copy) == files(built)

import dataclasses
import os
import shutil
from collections import Counter, namedtuple

import jax
import numpy as np
import pytest
from PIL import Image

from fdbpl_jax.clip.model import image_features, text_features
from fdbpl_jax.config import RilConfig
from fdbpl_jax.data import images
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.errors import UserError
from fdbpl_jax.ril import compute, store
from fdbpl_jax.ril.blocks import fixed_batch
from fdbpl_jax.ril.build import build_table, plan_spec
from fdbpl_jax.ril.regions import crop_region, draw_regions
from fdbpl_jax.ril.table import open_table

SETTINGS = RilConfig(keep=4, seed=3)


def contents(table):
    return {name: array.read().result() for name, array in table.arrays.items()}


def test_rows_are_what_teacher_and_student_say(table, dataset, spec, teacher, student):
    found = contents(table)
    texts = [dataset.template.format(name) for name in spec.class_names]
    text = np.asarray(text_features(teacher, texts), np.float64)
    for row in (0, 17, 39):
        record = spec.images[row]
        slots = range(spec.regions)
        box, flip = draw_regions(spec.crop, 3, record.hash, record.size, slots)
        np.testing.assert_array_equal(found["box"][row], box)
        np.testing.assert_array_equal(found["flip"][row], flip)
        image = Image.open(dataset.root / record.path).convert("RGB")

        def cut(size, image=image, box=box, flip=flip):
            pairs = zip(box, flip, strict=True)
            return np.stack([crop_region(image, b, bool(f), size) for b, f in pairs])

        seen = np.asarray(image_features(teacher, cut(teacher.image.size)), np.float64)
        whole = np.exp(spec.temperature * seen @ text.T)
        whole /= whole.sum(-1, keepdims=True)
        order = np.argsort(-whole, axis=-1)[:, : spec.keep]
        np.testing.assert_array_equal(found["label_index"][row], order)
        kept = np.take_along_axis(whole, order, axis=-1)
        np.testing.assert_allclose(found["label_prob"][row], kept, atol=1e-3)
        entropy = -(whole * np.log(whole + 1e-6)).sum(-1)
        np.testing.assert_allclose(found["entropy"][row], entropy, atol=1e-4)
        own = np.asarray(image_features(student, cut(student.image.size)))
        feature = found[f"feature/{student.fingerprint}"][row]
        np.testing.assert_allclose(feature, own, atol=1e-3)


def test_spec_says_what_the_table_was_made_from(table, spec, dataset, teacher, student):
    assert table.spec == spec
    assert [image.path for image in spec.images] == sorted(
        e.path for e in dataset.train
    )
    assert spec.temperature == pytest.approx(np.exp(4.5), rel=1e-5)
    assert (spec.teacher, spec.student) == (teacher.fingerprint, student.fingerprint)
    assert spec.feature_width == 10


@pytest.mark.parametrize(
    ("settings", "expected"),
    [(RilConfig(), 6), (RilConfig(keep=2), 2), (RilConfig(label="full"), 6)],
)
def test_keep_follows_the_settings(dataset, teacher, settings, expected):
    few = dataclasses.replace(dataset, train=dataset.train[:2])
    assert plan_spec(few, teacher, None, settings, 1).keep == expected


def test_full_labels_need_all_to_be_kept(dataset, teacher):
    settings = RilConfig(label="full", keep=5)
    with pytest.raises(UserError, match="keep is 5 of 6 classes"):
        plan_spec(dataset, teacher, None, settings, 1)


def test_keeping_more_labels_than_classes_is_refused(dataset, teacher):
    with pytest.raises(UserError, match=r"7 labels .* of 6 classes"):
        plan_spec(dataset, teacher, None, RilConfig(keep=7), 1)


def test_sizes_are_of_upright_images(tmp_path, dataset, teacher):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.new("RGB", (30, 20)).save(tmp_path / "turned.jpg", exif=exif)
    example = dataclasses.replace(dataset.train[0], path="turned.jpg")
    turned = dataclasses.replace(dataset, root=tmp_path, train=(example,))
    spec = plan_spec(turned, teacher, None, RilConfig(), 1)
    assert spec.images[0].size == (30, 20)


def test_rows_do_not_depend_on_other_images(tmp_path, table, dataset, teacher, student):
    few = tuple(dataset.train[i] for i in (33, 2, 17, 8, 25))
    part = dataclasses.replace(dataset, train=few)
    spec = plan_spec(part, teacher, student, SETTINGS, 6)
    turned = dataclasses.replace(dataset, train=few[::-1])
    assert spec == plan_spec(turned, teacher, student, SETTINGS, 6)
    build_table(tmp_path / "few", spec, dataset.root, teacher, student)
    alone = contents(open_table(tmp_path / "few"))
    place = {image.path: row for row, image in enumerate(table.spec.images)}
    rows = [place[image.path] for image in spec.images]
    for name, value in contents(table).items():
        if name in ("box", "flip", "label_index"):
            np.testing.assert_array_equal(alone[name], value[rows])
        else:
            np.testing.assert_allclose(alone[name], value[rows], atol=2e-3)


@pytest.fixture
def decoded(monkeypatch, dataset):
    """How often each image of the data set was decoded."""
    counts, decode = Counter(), images.decode_image

    def counted(file, *arguments):
        if dataset.root in file.parents:
            counts[file] += 1
        return decode(file, *arguments)

    monkeypatch.setattr(images, "decode_image", counted)
    return counts


def test_batches_have_one_shape_and_images_are_decoded_once(
    tmp_path, monkeypatch, dataset, spec, teacher, student, decoded
):
    shapes = set()

    def features(clip, pixels):
        shapes.add((clip.name, pixels.shape))
        return image_features(clip, pixels)

    monkeypatch.setattr(compute, "image_features", features)
    spec = dataclasses.replace(spec, batch=40)
    build_table(tmp_path / "t", spec, dataset.root, teacher, student)
    assert {shape[0] for _, shape in shapes} == {32}  # 96 regions a block in 3
    assert len(shapes) == 2
    assert len(decoded) == 40
    assert set(decoded.values()) == {1}


@pytest.mark.parametrize(("memory", "times"), [(1 << 20, {1}), (0, {2})])
def test_planning_and_building_share_one_decoding_where_memory_lasts(
    tmp_path, dataset, spec, teacher, student, decoded, files, built, memory, times
):
    source = SourceImages(dataset.root, tmp_path / "record.json", memory)
    config = RilConfig(keep=spec.keep, seed=3)
    planned = plan_spec(dataset, teacher, student, config, spec.regions, images=source)
    assert planned == spec
    build_table(tmp_path / "t", spec, dataset.root, teacher, student, images=source)
    assert len(decoded) == 40
    assert set(decoded.values()) == times
    assert files(tmp_path / "t") == files(built)


def test_images_on_record_are_decoded_only_to_be_cut(
    tmp_path, dataset, spec, teacher, student, decoded
):
    for example in dataset.train:
        os.utime(dataset.root / example.path, ns=(1, 1))
    record = tmp_path / "record.json"
    SourceImages(dataset.root, record).facts([e.path for e in dataset.train])
    decoded.clear()
    source = SourceImages(dataset.root, record)
    config = RilConfig(keep=spec.keep, seed=3)
    plan_spec(dataset, teacher, student, config, spec.regions, images=source)
    assert not decoded
    build_table(tmp_path / "t", spec, dataset.root, teacher, student, images=source)
    assert set(decoded.values()) == {1}


def test_batch_leaves_little_empty():
    assert fixed_batch(128, 96) == 96
    assert fixed_batch(128, 1000) == 128
    assert fixed_batch(128, 16_000) == 128
    assert fixed_batch(128, 800) == 120
    assert fixed_batch(3, 800) == 3


def test_broken_images_are_listed_before_anything_is_computed(
    tmp_path, monkeypatch, dataset, teacher, student
):
    root = shutil.copytree(dataset.root, tmp_path / "pictures")
    here = dataclasses.replace(dataset, root=root)
    spec = plan_spec(here, teacher, student, RilConfig(), 2)
    for number in (3, 6):  # JPEGs: planning reads no more than their header
        file = root / dataset.train[number].path
        file.write_bytes(file.read_bytes()[:-200])
    monkeypatch.setattr(compute, "image_features", None)
    with pytest.raises(UserError, match=r"2 images are broken: .*003.jpg.*006.jpg|"
                       r"2 images are broken: .*006.jpg.*003.jpg"):  # fmt: skip
        build_table(tmp_path / "t", spec, root, teacher, student)


def test_missing_images_are_listed_when_planning(tmp_path, dataset, teacher):
    empty = dataclasses.replace(dataset, root=tmp_path)
    with pytest.raises(UserError, match=r"40 images are broken: .*is missing"):
        plan_spec(empty, teacher, None, RilConfig(), 2)


def test_an_image_swapped_since_planning_is_noticed_before_anything_is_computed(
    tmp_path, monkeypatch, dataset, spec, teacher, student
):
    monkeypatch.setattr(compute, "image_features", None)
    root = shutil.copytree(dataset.root, tmp_path / "pictures")
    Image.new("RGB", (9, 9)).save(root / spec.images[-1].path)  # of the last block
    with pytest.raises(UserError, match="is 9×9 pixels, and was"):
        build_table(tmp_path / "t", spec, root, teacher, student)


def test_a_disk_that_cannot_hold_the_table_is_refused_at_once(
    tmp_path, monkeypatch, dataset, spec, teacher, student
):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9000, 8000, 1000))
    with pytest.raises(UserError, match=r"up to 0.0 MB more, and 0.0 MB"):
        build_table(tmp_path / "t", spec, dataset.root, teacher, student)


def test_a_full_disk_is_said_so(tmp_path):
    folder = store.open_folder(tmp_path)
    with (
        pytest.raises(UserError, match="disk is full: 'entropy' of RIL table"),
        store.store_errors(folder, "entropy"),
    ):
        raise ValueError(
            "RESOURCE_EXHAUSTED: Error writing local file: Failed to write 215 kB "
            "to file 4: No space left on device [os_error_code='28']"
        )


def test_a_model_that_gives_nan_is_named_with_the_image(
    tmp_path, dataset, spec, teacher, student
):
    broken = jax.tree.map(lambda leaf: leaf * np.nan, student.params)
    broken = dataclasses.replace(student, params=broken)
    with pytest.raises(UserError, match=r"student gives a feature .* 'ant/000.jpg'"):
        build_table(tmp_path / "t", spec, dataset.root, teacher, broken)


def test_a_model_that_the_spec_is_not_of_is_refused(
    tmp_path, dataset, spec, teacher, student
):
    with pytest.raises(UserError, match="the teacher given has fingerprint"):
        build_table(tmp_path / "t", spec, dataset.root, student, student)
    with pytest.raises(UserError, match="the student given has fingerprint ''"):
        build_table(tmp_path / "t", spec, dataset.root, teacher, None)

import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image

from fdbpl_jax.clip.model import cast
from fdbpl_jax.config import CropConfig
from fdbpl_jax.errors import UserError
from fdbpl_jax.ril import device_crops
from fdbpl_jax.ril.blocks import BuildSettings
from fdbpl_jax.ril.build import build_table, ensure_table
from fdbpl_jax.ril.regions import crop_region, draw_regions
from fdbpl_jax.ril.table import open_table

# Pillow's weights are rounded to 22 bits, ours to float32: a half may go either way.
GREY_LEVELS = 1


def picture(height, width, seed=0):
    """Smooth patches with grain and hard edges: overshoots are clipped."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 9 + 1, width // 9 + 1, 3), np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST)
    grain = rng.integers(-20, 20, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(smooth) + grain, 0, 255).astype(np.uint8))


def differences(image, box, flip, size):
    box, flip = np.array(box, np.uint16), np.array(flip)
    found = np.asarray(device_crops.cut_image(image, box, flip, size)).astype(int)
    pillow = [
        crop_region(image, b, bool(f), size) for b, f in zip(box, flip, strict=True)
    ]
    return np.abs(found - np.stack(pillow).astype(int))


BOXES = {
    "whole": (0, 0, 90, 130),
    "corner, enlarged": (0, 0, 20, 30),
    "far corner": (70, 100, 20, 30),
    "flat": (40, 0, 1, 130),
    "narrow": (0, 129, 90, 1),
    "one pixel": (89, 129, 1, 1),
    "as it is": (10, 20, 32, 32),
}


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_a_region_is_pillows(box, flip):
    apart = differences(picture(90, 130), [box], [flip], 32)
    assert apart.max() <= GREY_LEVELS
    assert apart.mean() < 0.01


def test_random_regions_of_a_photograph_are_pillows():
    """Shrunk to a fifth and less, as most regions of photographs are."""
    image = picture(375, 500)
    box, flip = draw_regions(CropConfig(), 0, "0" * 64, (375, 500), range(40))
    apart = differences(image, box, flip, 48)
    assert apart.max() <= GREY_LEVELS
    assert apart.mean() < 0.01


def test_images_of_about_one_size_compile_once():
    device_crops._cut.clear_cache()
    for height, width in ((90, 130), (91, 200), (256, 256)):
        differences(picture(height, width), [(0, 0, 50, 60)], [False], 16)
    assert device_crops._cut._cache_size() == 1


def test_an_image_too_large_for_the_device_is_cut_by_pillow(monkeypatch):
    monkeypatch.setattr(device_crops, "_SIDES", (64, 96))
    boxes = [(0, 0, 50, 60), (5, 7, 80, 60)]
    assert differences(picture(90, 130), boxes, [True, False], 16).max() == 0


@pytest.fixture(scope="module")
def on_device(tmp_path_factory, dataset, spec, teacher, student):
    path = tmp_path_factory.mktemp("device") / "table"
    spec = dataclasses.replace(spec, cut="device", batch=16)
    # 6 regions an image: a batch of 16 spans up to four images.
    build_table(path, spec, dataset.root, teacher, student)
    return path, spec


def rows(path):
    table = open_table(path)
    return table.read(list(table.arrays), np.arange(40), np.arange(6))


def cosines(ours, theirs):
    (name,) = (name for name in ours if name.startswith("feature/"))
    left, right = (found[name].astype(np.float64) for found in (ours, theirs))
    lengths = np.linalg.norm(left, axis=-1) * np.linalg.norm(right, axis=-1)
    return (left * right).sum(-1) / lengths


def test_a_table_cut_on_the_device_is_nearly_the_same(built, on_device):
    ours, pillow = rows(on_device[0]), rows(built)
    np.testing.assert_array_equal(ours["box"], pillow["box"])
    np.testing.assert_array_equal(ours["flip"], pillow["flip"])
    np.testing.assert_allclose(ours["entropy"], pillow["entropy"], atol=0.02)
    assert cosines(ours, pillow).min() > 0.9999
    assert cosines(ours, pillow).min() < 1  # they were not cut alike


def test_mending_it_gives_the_same_bits(on_device, dataset, teacher, student, tmp_path):
    path, spec = on_device
    before = rows(path)
    next((path / "entropy/c").glob("1/*")).unlink()
    plan = dataclasses.replace(spec, cut="host")  # what this machine would do
    table, report = ensure_table(path, plan, dataset.root, teacher, student)
    assert report.regions_built > 0
    assert table.spec.cut == "device"
    after = rows(path)
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name])


def test_two_ways_of_cutting_are_never_mixed(tmp_path, dataset, spec, teacher, student):
    """A build that was broken off on one machine and goes on on another."""
    path = tmp_path / "table"
    build_table(
        path, spec, dataset.root, teacher, student, settings=BuildSettings(shard=(0, 2))
    )
    other = dataclasses.replace(spec, cut="device")
    with pytest.raises(UserError, match="cut 'host', not 'device'"):
        build_table(path, other, dataset.root, teacher, student)


def test_rows_in_two_dtypes_are_never_mixed(tmp_path, dataset, spec, teacher, student):
    half = dataclasses.replace(spec, dtype="bfloat16")
    path = tmp_path / "table"
    with pytest.raises(UserError, match=r"teacher is in float32.*made in bfloat16"):
        build_table(path, half, dataset.root, teacher, student)
    low = cast(teacher, "bfloat16"), cast(student, "bfloat16")
    build_table(path, half, dataset.root, *low)
    with pytest.raises(UserError, match="dtype 'bfloat16', not 'float32'"):
        build_table(path, spec, dataset.root, teacher, student)
    # Finished, it serves whoever wants these labels.
    table, report = ensure_table(path, spec, dataset.root, teacher, student)
    assert report is None
    assert table.spec.dtype == "bfloat16"


def test_bfloat16_rows_are_near(tmp_path, dataset, spec, teacher, student, built):
    half = dataclasses.replace(spec, dtype="bfloat16")
    low = cast(teacher, "bfloat16"), cast(student, "bfloat16")
    assert low[0].params["logit_scale"].dtype == jax.numpy.float32
    build_table(tmp_path / "table", half, dataset.root, *low)
    ours, full = rows(tmp_path / "table"), rows(built)
    assert 0.999 < cosines(ours, full).min() < 0.999999
    assert ours["entropy"].dtype == np.float32

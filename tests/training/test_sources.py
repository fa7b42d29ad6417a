"""Pixels for training: the right regions, the same after a break, on either device."""

import jax
import numpy as np
import pytest
from PIL import Image

from fdbpl_jax.clip.model import image_features, logit_scale
from fdbpl_jax.config import CropConfig
from fdbpl_jax.data.images import read_image
from fdbpl_jax.errors import UserError
from fdbpl_jax.learners.learner import Student
from fdbpl_jax.ril.labels import soft_labels
from fdbpl_jax.ril.reader import EpochPlan, epoch_iterator, region_batches
from fdbpl_jax.ril.regions import crop_region
from fdbpl_jax.training.sources import Viewing, view_batch
from fdbpl_jax.training.views import Cutter

pytest_plugins = ["ril.conftest"]
ROWS = np.array([5, 30, 2, 17, 8, 39, 21])
LABELS = np.arange(7, dtype=np.int32) * 10
PLAN = EpochPlan(epochs=3, regions_per_epoch=2, batch_size=4, access="slab", seed=0)
HOST = Cutter({"student": 9}, "host")


def steps(table, dataset, cut=HOST.cut):
    return region_batches(table, dataset.root, ROWS, LABELS, PLAN, cut=cut)


def test_each_step_is_that_of_the_epochs_with_the_regions_themselves(table, dataset):
    found = list(steps(table, dataset))
    epochs = list(epoch_iterator(table, ROWS, LABELS, PLAN))
    assert len(found) == 3 * 3
    whole = {name: array.read().result() for name, array in table.arrays.items()}
    feature = next(value for name, value in whole.items() if "feature" in name)
    flat = feature.reshape(-1, feature.shape[-1])
    place = {row.tobytes(): i for i, row in enumerate(flat)}
    for number, step in enumerate(found):
        epoch, row = divmod(number, 3)
        for name, expected in epochs[epoch].items():
            np.testing.assert_array_equal(step[name], expected[row], err_msg=name)
        for pixels, own in zip(step["pixels"]["student"], step["feature"], strict=True):
            image, slot = divmod(place[own.tobytes()], feature.shape[1])
            picture = read_image(dataset.root, table.spec.images[image].path)
            box, flip = whole["box"][image, slot], bool(whole["flip"][image, slot])
            np.testing.assert_array_equal(pixels, crop_region(picture, box, flip, 9))


def test_an_interrupted_reading_goes_on_with_the_same_steps(table, dataset):
    whole = list(steps(table, dataset))
    first = steps(table, dataset)
    for _ in range(4):
        next(first)
    second = steps(table, dataset)
    second.set_state(first.get_state())
    rest = list(second)
    assert len(rest) == len(whole) - 4
    for one, other in zip(rest, whole[4:], strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, other)


def test_an_image_of_another_size_is_refused(table, dataset, tmp_path):
    path = table.spec.images[5].path
    (tmp_path / path).parent.mkdir()
    Image.new("RGB", (77, 66)).save(tmp_path / path)
    rows, labels = ROWS[:1], LABELS[:1]
    batches = region_batches(table, tmp_path, rows, labels, PLAN, cut=HOST.cut)
    with pytest.raises(UserError, match="66×77 pixels"):
        next(batches)


def test_the_device_cuts_what_pillow_cuts(table, dataset):
    device = Cutter({"student": 9, "teacher": 12}, "device")
    rng = np.random.default_rng(0)
    noise = rng.integers(256, size=(40, 52, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((52, 40), Image.Resampling.BICUBIC)
    host = Cutter(device.sizes, "host")
    for seed in range(4):
        draws = (np.random.default_rng(seed) for _ in range(2))
        found, expected = (
            cutter.view(CropConfig(), image, draw)
            for cutter, draw in zip((device, host), draws, strict=True)
        )
        for name, size in device.sizes.items():
            assert isinstance(found[name], jax.Array)
            assert found[name].shape == (size, size, 3)
            off = np.abs(np.int32(found[name]) - np.int32(expected[name]))
            assert off.max() <= 1
    batches = steps(table, dataset, Cutter({"student": 9}, "device").cut)
    pixels = next(batches)["pixels"]["student"]
    assert isinstance(pixels, jax.Array)
    assert pixels.shape == (4, 9, 9, 3)


def test_sizes_that_are_equal_share_their_pixels():
    image = Image.new("RGB", (30, 30))
    box = np.array([1, 2, 10, 10], np.uint16)
    made = Cutter({"student": 8, "teacher": 8}, "host").cut(image, box, False)
    assert made["student"] is made["teacher"]


def test_online_labels_are_those_of_a_table_on_every_device(student, teacher):
    """Logits in full float32: a GPU's default, TF32, moves a logit of 100 by 0.05."""
    text = np.eye(7, teacher.config.projection, dtype=np.float32)
    draw = np.random.default_rng(0).integers
    sides = {"student": student.image.size, "teacher": teacher.image.size}
    pixels = {
        name: draw(256, size=(4, side, side, 3), dtype=np.uint8)
        for name, side in sides.items()
    }
    static = (Student(clip.config, clip.image) for clip in (student, teacher))
    viewing = Viewing(*static, prompted=False, keep=0)
    inputs = student.params, teacher.params, text, pixels, np.zeros(4, np.int32)
    lowered = view_batch.lower(viewing, *inputs).as_text()
    lines = [line for line in lowered.splitlines() if "dot_general" in line]
    (logits,) = (line for line in lines if line.endswith("-> tensor<4x7xf32>"))
    assert "precision = [HIGHEST, HIGHEST]" in logits
    probability = view_batch(viewing, *inputs).teacher[0]
    feature = image_features(teacher, pixels["teacher"])
    scale = np.float32(logit_scale(teacher))
    index, stored, _ = soft_labels(feature, text, scale, 7)
    actual = np.take_along_axis(np.asarray(probability), np.asarray(index), axis=-1)
    np.testing.assert_array_equal(actual.astype(np.float16), stored)

import dataclasses
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from fdbpl_jax.data.types import Dataset, Example
from fdbpl_jax.errors import UserError
from fdbpl_jax.ril.inspect import sample
from fdbpl_jax.ril.inspect.sample import (
    across,
    agreement,
    cut_tile,
    extremes,
    most_spread,
    read_regions,
    sample_regions,
    true_labels,
)

WEIGHT = np.array(
    [
        [0.50, 0.90, 0.70],
        [0.10, 0.95, 0.05],
        [0.20, 0.30, 0.25],
        [0.93, 0.94, 0.92],
    ]
)


def test_regions_are_those_of_the_table(table):
    rows, slots = np.array([7, 2]), np.array([1, 5, 0])
    found = read_regions(table, rows, slots)
    for name in ("box", "flip", "label_index", "label_prob"):
        whole = table.arrays[name].read().result()
        np.testing.assert_array_equal(getattr(found, name), whole[rows][:, slots])
    entropy = table.arrays["entropy"].read().result()[rows][:, slots]
    np.testing.assert_allclose(found.weight, 1 - entropy / math.log(6), atol=1e-6)


@pytest.mark.parametrize(("regions", "slots"), [(1000, 6), (100, 2), (30, 1)])
def test_a_sample_is_of_every_image(table, monkeypatch, regions, slots):
    monkeypatch.setattr(sample, "_REGIONS", regions)
    assert sample_regions(table).weight.shape == (40, slots)


def test_true_labels_go_by_path_and_by_name(spec):
    one = Example("b/1.png", 2)
    two, three = Example("a/2.png", 0), Example("x/3.png", 1)
    dataset = Dataset(
        "d", Path(), ("ant", "bee", "cow"), "{}", (one,), (two,), (three,)
    )
    paths = ("x/3.png", "a/2.png", "b/1.png", "lost.png")
    images = [dataclasses.replace(spec.images[0], path=path) for path in paths]
    # The table has two of the classes, in another order.
    assert true_labels(dataset, images, ("cow", "ant")).tolist() == [-1, 1, 0, -1]


def test_agreement_by_hand():
    best = np.array([[0, 1, 0], [1, 1, 0], [2, 2, 2]], np.uint16)
    weight = np.array([[0.05, 0.07, 1.0], [0.95, 0.55, 0.5], [0.3, 0.3, 0.3]])
    overall, by_weight = agreement(best, np.array([0, 1, -1]), weight)
    assert overall == 4 / 6  # the third image's class is not known
    nan = float("nan")
    wanted = [0.5, nan, nan, nan, nan, 0.5, nan, nan, nan, 1.0]
    np.testing.assert_array_equal(by_weight, wanted)


def test_agreement_without_a_class():
    overall, by_weight = agreement(
        np.zeros((2, 3), np.uint16), np.array([-1, -1]), np.zeros((2, 3))
    )
    assert math.isnan(overall)
    assert np.isnan(by_weight).all()


def test_the_most_and_least_informative_by_hand():
    most, least = extremes(WEIGHT, 3)
    assert most == [(1, 1), (3, 1), (0, 1)]
    assert least == [(1, 2), (2, 0), (0, 0)]
    assert [len(found) for found in extremes(WEIGHT, 9)] == [4, 4]


def test_the_image_whose_regions_differ_most():
    assert most_spread(WEIGHT) == 1


def test_regions_from_the_least_to_the_most_informative():
    weight = np.array([0.4, 0.0, 0.3, 0.1, 0.2])
    assert across(weight, 3).tolist() == [1, 4, 0]
    assert across(weight, 8).tolist() == [1, 3, 4, 2, 0]


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_tile_is_the_stored_cut(table, dataset, mirrored):
    found = sample_regions(table)
    row, slot = (int(n) for n in np.argwhere(found.flip == mirrored)[17])
    label = np.full(40, -1)
    label[row] = 3
    tile = cut_tile(table.spec, dataset.root, found, label, (row, slot))
    top, left, height, width = (int(n) for n in found.box[row, slot])
    with Image.open(dataset.root / table.spec.images[row].path) as image:
        box = (left, top, left + width, top + height)
        cut = image.crop(box).resize((200, 200), Image.Resampling.BICUBIC)
    wanted = ImageOps.mirror(cut) if mirrored else cut
    np.testing.assert_array_equal(tile.pixels, np.asarray(wanted))
    assert (tile.flip, tile.truth) == (mirrored, "dog")
    assert tile.path == table.spec.images[row].path
    assert tile.weight == found.weight[row, slot]
    names = [table.spec.class_names[i] for i in found.label_index[row, slot, :3]]
    probs = found.label_prob[row, slot, :3].astype(float)
    assert tile.labels == tuple(zip(names, probs, strict=True))


def test_a_tile_of_an_unknown_class_says_so(table, dataset):
    found, label = sample_regions(table), np.full(40, -1)
    assert cut_tile(table.spec, dataset.root, found, label, (0, 0)).truth == ""


def test_another_image_of_the_same_size_is_refused(tmp_path, table, dataset):
    root = shutil.copytree(dataset.root, tmp_path / "pictures")
    file = root / table.spec.images[5].path
    with Image.open(file) as image:
        ImageOps.invert(image).save(file)
    found, label = sample_regions(table), np.zeros(40, int)
    cut_tile(table.spec, root, found, label, (4, 0))
    with pytest.raises(UserError, match="not the one that the table was made") as no:
        cut_tile(table.spec, root, found, label, (5, 0))
    assert str(file) in no.value.what

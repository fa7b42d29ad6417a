import math

import numpy as np
import pytest
from PIL import Image

from fdbpl_jax.config import CropConfig
from fdbpl_jax.ril.regions import crop_region, draw_region, draw_regions

CROP = CropConfig()


def plain_rule(crop: CropConfig, rng: np.random.Generator, size: tuple[int, int]):
    """RandomResizedCrop as torchvision words it, a draw at a time."""
    height, width = size
    for _ in range(10):
        area = height * width * rng.uniform(*crop.scale)
        ratio = math.exp(rng.uniform(*(math.log(bound) for bound in crop.ratio)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
            return top, left, h, w
    w, h = width, height
    if width / height < crop.ratio[0]:
        h = round(width / crop.ratio[0])
    elif width / height > crop.ratio[1]:
        w = round(height * crop.ratio[1])
    return (height - h) // 2, (width - w) // 2, h, w


def distance(a, b) -> float:
    """Kolmogorov and Smirnov's, between two samples."""
    grid = np.sort(np.concatenate([a, b]))
    return np.abs(
        np.searchsorted(np.sort(a), grid, "right") / len(a)
        - np.searchsorted(np.sort(b), grid, "right") / len(b)
    ).max()


@pytest.mark.parametrize("size", [(300, 400), (400, 300), (60, 400), (33, 31)])
def test_boxes_are_distributed_as_torchvisions(size):
    count = 4000
    box, flip = draw_regions(CROP, 0, "image", size, range(count))
    rng = np.random.default_rng(1)
    plain = np.array([plain_rule(CROP, rng, size) for _ in range(count)])
    ours = box.astype(float)
    # Two samples of this size stay below 0.043 with probability 0.999.
    for mine, theirs in zip(ours.T, plain.T, strict=True):
        assert distance(mine, theirs) < 0.043
    assert distance(ours[:, 2] * ours[:, 3], plain[:, 2] * plain[:, 3]) < 0.043
    assert distance(ours[:, 3] / ours[:, 2], plain[:, 3] / plain[:, 2]) < 0.043
    # Positions given the size: the share of the room above that is used.
    room = ours[:, 0] / np.maximum(size[0] - ours[:, 2], 1)
    theirs = plain[:, 0] / np.maximum(size[0] - plain[:, 2], 1)
    assert distance(room, theirs) < 0.043
    assert abs(flip.mean() - 0.5) < 0.03


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (2, 3), (65535, 3)])
def test_boxes_lie_inside_the_smallest_and_longest_images(size):
    box, _ = draw_regions(CROP, 0, "image", size, range(300))
    box = box.astype(int)
    assert (box[:, 2:] >= 1).all()
    assert (box[:, :2] + box[:, 2:] <= size).all()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((400, 30), (180, 0, 40, 30)),
        ((30, 400), (0, 180, 30, 40)),
        ((30, 30), (0, 0, 30, 30)),
    ],
)
def test_falls_back_to_the_largest_centred_box(size, expected):
    # An area larger than the image never fits.
    crop = CropConfig(scale=(2.0, 2.0))
    box, _ = draw_regions(crop, 0, "image", size, range(3))
    np.testing.assert_array_equal(box, [expected] * 3)


def test_a_slot_is_the_same_drawn_alone():
    box, flip = draw_regions(CROP, 3, "image", (50, 70), range(20))
    for slot in (0, 7, 19):
        one, mirrored = draw_regions(CROP, 3, "image", (50, 70), range(slot, slot + 1))
        np.testing.assert_array_equal(one[0], box[slot])
        assert mirrored[0] == flip[slot]


def test_seed_and_image_change_the_draw():
    drawn = [
        draw_regions(CROP, seed, image, (50, 70), range(20))[0]
        for seed, image in [(0, "a"), (1, "a"), (0, "b")]
    ]
    assert not np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert len(np.unique(drawn[0], axis=0)) == 20


def test_the_stream_stays_as_tables_were_built_with():
    box, flip = draw_regions(CROP, 0, "image", (480, 640), range(3))
    golden = [[45, 102, 409, 449], [20, 170, 237, 310], [0, 164, 430, 360]]
    np.testing.assert_array_equal(box, golden)
    np.testing.assert_array_equal(flip, [True, False, False])


def test_draw_region_follows_its_generator():
    draws = [draw_region(CROP, np.random.default_rng(5), (50, 70)) for _ in range(2)]
    np.testing.assert_array_equal(draws[0][0], draws[1][0])
    rng = np.random.default_rng(5)
    many = np.array([draw_region(CROP, rng, (50, 70))[0] for _ in range(2000)])
    plain = np.array([plain_rule(CROP, rng, (50, 70)) for _ in range(2000)])
    assert distance(many[:, 3].astype(float), plain[:, 3].astype(float)) < 0.062


@pytest.mark.parametrize("flip", [False, True])
def test_crop_cuts_resizes_and_mirrors(flip):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    image = Image.fromarray(pixels)
    cut = crop_region(image, np.array([5, 7, 16, 16], np.uint16), flip, 16)
    expected = pixels[5:21, 7:23]  # the size stays, so bicubic changes nothing
    np.testing.assert_array_equal(cut, expected[:, ::-1] if flip else expected)


def test_crop_sees_nothing_outside_its_box():
    pixels = np.full((40, 60, 3), 255, np.uint8)
    pixels[10:20, 10:20] = 50
    box = np.array([10, 10, 10, 10], np.uint16)
    assert (crop_region(Image.fromarray(pixels), box, False, 32) == 50).all()

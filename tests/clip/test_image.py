import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from fdbpl_jax.clip import image
from fdbpl_jax.clip.image import (
    ImageSettings,
    normalise,
    parse_image_settings,
    preprocess,
    to_hf_preprocessor,
)
from fdbpl_jax.errors import UserError

# Width and height: landscape, portrait, odd, square, and smaller than the tower's 64.
SIZES = [(500, 375), (333, 251), (97, 230), (64, 64), (65, 64), (64, 131), (31, 17)]
SIZES += [(7, 50), (1, 3), (200, 200)]


def picture(width, height):
    rng = np.random.default_rng(width * 1000 + height)
    noise = rng.integers(0, 256, (height, width, 3))
    ramp = np.linspace(0, 255, width)[None, :, None]
    return PIL.Image.fromarray(((noise + ramp) / 2).astype(np.uint8))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("edge", [64, 45])
@pytest.mark.parametrize("squash", [False, True])
def test_pixels_are_those_of_transformers(size, edge, squash):
    module = pytest.importorskip("transformers.models.clip.image_processing_pil_clip")
    settings = ImageSettings(edge, squash=squash)
    theirs = module.CLIPImageProcessorPil(**to_hf_preprocessor(settings))
    expected = theirs(picture(*size), return_tensors="np")["pixel_values"][0]
    ours = preprocess(picture(*size), settings)
    assert ours.shape == (edge, edge, 3)
    ours = normalise(settings, jnp.asarray(ours)[None])[0].transpose(2, 0, 1)
    longest = edge * max(size) // min(size)
    if not squash and (longest - edge) % 4 == 3:  # they cut one pixel before us
        axis = 2 if size[0] > size[1] else 1
        ours = np.delete(ours, -1, axis)
        expected = np.delete(expected, 0, axis)
    # Far below 1/255 of the range, which is 3.7 after division by the deviations.
    np.testing.assert_allclose(ours, expected, atol=1e-5)


# The first pixel that torchvision's CenterCrop keeps of one more, two more, … pixels
# than it keeps: int(round(more / 2)), halves to the even number.
FIRST = {0: 0, 1: 0, 2: 1, 3: 2, 4: 2, 5: 2, 6: 3, 7: 4, 8: 4, 9: 4, 11: 6, 37: 18}


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize(("more", "first"), FIRST.items())
def test_the_centre_is_cut_where_torchvision_cuts_it(more, first, wide):
    numbers = np.zeros((20, 20 + more, 3), np.uint8)
    numbers[..., 0] = np.arange(20 + more)  # of columns; of 20 rows nothing is resized
    numbers = numbers if wide else numbers.transpose(1, 0, 2)
    cut = preprocess(PIL.Image.fromarray(numbers), ImageSettings(20))[..., 0]
    expected = np.broadcast_to(first + np.arange(20), (20, 20))
    np.testing.assert_array_equal(cut if wide else cut.T, expected)


@pytest.mark.parametrize("size", [(3, 200), (250, 2), (5, 201), (900, 100)], ids=str)
def test_a_thin_image_is_cut_to_what_the_long_way_shows(size, monkeypatch):
    # Of medium shades: where black or white is overshot, Pillow's order of the two
    # directions shows, which depends on the size.
    medium = picture(*size).point(lambda shade: 64 + shade // 2)
    short = preprocess(medium, ImageSettings(16))
    monkeypatch.setattr(image, "_THIN", 1000)
    long = preprocess(medium, ImageSettings(16))
    assert np.abs(short.astype(int) - long).max() <= 1
    assert np.ptp(long.astype(int)) > 9


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (7, 57), (3, 24)], ids=str)
def test_a_thin_image_takes_little_memory(size, monkeypatch):
    made, resize = [], PIL.Image.Image.resize

    def noted(self, *args):
        made.append(resize(self, *args))
        return made[-1]

    monkeypatch.setattr(PIL.Image.Image, "resize", noted)
    assert preprocess(picture(*size), ImageSettings(64)).shape == (64, 64, 3)
    (pixels,) = made
    assert pixels.width * pixels.height <= 8 * 64 * 64


def test_the_settings_survive_the_way_to_the_file_and_back():
    settings = ImageSettings(30, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    assert parse_image_settings(to_hf_preprocessor(settings), 30) == settings
    squashed = ImageSettings(30, squash=True)
    assert parse_image_settings(to_hf_preprocessor(squashed), 30) == squashed


def test_an_absent_file_means_openais_values():
    assert parse_image_settings({}, 224) == ImageSettings(224)


def test_the_older_form_of_sizes_is_read():
    settings = ImageSettings(64)
    assert parse_image_settings({"size": 64, "crop_size": 64}, 64) == settings
    size = {"shortest_edge": 64, "longest_edge": None, "height": None}
    assert parse_image_settings({"size": size}, 64) == settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", {"shortest_edge": 80}),
        ("size", {"height": 64, "width": 80}),
        ("size", {"longest_edge": 64}),
        ("size", {"shortest_edge": 64, "longest_edge": 64}),
        ("size", [64]),
        ("size", None),
        ("crop_size", {"shortest_edge": 64}),
        ("crop_size", {"height": 80, "width": 80}),
        ("resample", 2),
        ("do_center_crop", False),
        ("do_normalize", False),
        ("rescale_factor", 1 / 127.5),
        ("rescale_factor", None),
        ("rescale_factor", "0.0039"),
        ("rescale_factor", float("nan")),
        ("rescale_factor", 10**400),
        ("image_mean", [0.5, 0.5, float("nan")]),
        ("image_mean", ["0.5", 0.5, 0.5]),
        ("image_mean", None),
        ("image_std", [1, 10**400, 1]),
        ("image_mean", [0.5]),
        ("image_std", 1),
        ("image_std", [1, 0, 1]),
    ],
)
def test_other_preprocessing_is_refused(name, value):
    hf = {**to_hf_preprocessor(ImageSettings(64)), name: value}
    with pytest.raises(UserError, match=f"{name} ") as error:
        parse_image_settings(hf, 64)
    assert repr(value)[:9] in str(error.value)

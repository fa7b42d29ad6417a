"""Images: read right whatever their kind, refused by name when broken."""

import hashlib
import os

import numpy as np
import pytest
from PIL import Image, ImageFile

from fdbpl_jax.data import images
from fdbpl_jax.data.images import as_read, content_hash, read_hashed, read_image
from fdbpl_jax.errors import UserError


@pytest.fixture
def colours():
    """4 × 6 pixels of six plain colours, in 2 × 2 blocks (JPEG-proof enough)."""
    rows = [[(250, 10, 10), (10, 240, 10), (10, 10, 230)]]
    rows += [[(240, 240, 20), (20, 230, 230), (128, 128, 128)]]
    return np.array(rows, np.uint8).repeat(16, 0).repeat(16, 1)


def pixels(tmp_path, name):
    image = read_image(tmp_path, name)
    assert image.mode == "RGB"
    return np.asarray(image)


def test_plain_png_is_read_exactly(tmp_path, colours):
    Image.fromarray(colours).save(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels(tmp_path, "a.png"), colours)


def test_palette(tmp_path, colours):
    palette = Image.fromarray(colours).convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels(tmp_path, "a.png"), colours)


def test_palette_with_transparency_gives_no_warning(tmp_path, colours):
    palette = Image.fromarray(colours).convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(tmp_path / "a.png", transparency=bytes([0, 128, 255]))
    np.testing.assert_array_equal(pixels(tmp_path, "a.png"), colours)


def test_alpha_is_dropped(tmp_path, colours):
    alpha = np.full((*colours.shape[:2], 1), 7, np.uint8)
    Image.fromarray(np.concatenate([colours, alpha], -1)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels(tmp_path, "a.png"), colours)


def test_cmyk_jpeg(tmp_path, colours):
    cmyk = Image.fromarray(colours).convert("CMYK")
    cmyk.save(tmp_path / "a.jpg", quality=100, subsampling=0)
    difference = pixels(tmp_path, "a.jpg").astype(int) - colours
    assert np.abs(difference).max() <= 4


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bit_grey_keeps_its_scale(tmp_path, suffix):
    grey = np.array([[0, 257, 100 * 257, 255 * 257]], np.uint16)
    Image.fromarray(grey).save(tmp_path / f"a.{suffix}")
    assert pixels(tmp_path, f"a.{suffix}")[0, :, 1].tolist() == [0, 1, 100, 255]


def test_grey_of_unknown_range_is_refused(tmp_path):
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=r"a\.tif.*no known range"):
        read_image(tmp_path, "a.tif")


def test_exif_orientation_is_applied(tmp_path, colours):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned to the left: turn right to show
    Image.fromarray(colours).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(pixels(tmp_path, "a.png"), np.rot90(colours, -1))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's word to the user
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0nonsense"]
)
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_broken_exif_is_ignored(tmp_path, colours, suffix, exif):
    Image.fromarray(colours).save(tmp_path / f"a.{suffix}", exif=exif)
    assert pixels(tmp_path, f"a.{suffix}").shape == colours.shape


def write_broken(file, kind):
    Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    ).save(file)
    whole = file.read_bytes()
    content = {
        "empty": b"",
        "text": b"<html>404 not found</html>",
        "truncated": whole[: len(whole) // 2],
        "header": whole[:20],
    }
    file.write_bytes(content[kind])


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif"])
@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "header"])
def test_broken_file_is_refused_by_name(tmp_path, suffix, kind):
    write_broken(tmp_path / f"b.{suffix}", kind)
    with pytest.raises(UserError, match=rf"b\.{suffix}' cannot be read \(.+\)"):
        read_image(tmp_path, f"b.{suffix}")


def test_missing_file_and_folder_are_refused(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(UserError, match=r"no\.jpg' is missing"):
        read_image(tmp_path, "no.jpg")
    with pytest.raises(UserError, match=r"folder\.jpg' cannot be read"):
        read_image(tmp_path, "folder.jpg")


def test_decompression_bomb_is_refused(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    assert os.path.getsize(tmp_path / "bomb.png") < 100_000
    with pytest.raises(UserError, match=r"bomb\.png' has more than"):
        read_image(tmp_path, "bomb.png")


def test_long_image_is_refused(tmp_path):
    Image.new("1", (1, 65_536)).save(tmp_path / "long.png")
    with pytest.raises(UserError, match=r"long\.png' has more than .* on a side"):
        read_image(tmp_path, "long.png")


def test_large_image_is_refused_before_it_is_decoded(tmp_path, monkeypatch, colours):
    Image.fromarray(colours).save(tmp_path / "a.bmp")
    monkeypatch.setattr(images, "_MAX_PIXELS", 100)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
    with pytest.raises(UserError, match="more than 100 pixels"):
        read_image(tmp_path, "a.bmp")


def test_content_hash_is_of_the_bytes(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"abc")
    assert content_hash(tmp_path, "a.jpg") == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(UserError, match=r"b\.jpg' is missing"):
        content_hash(tmp_path, "b.jpg")


def test_read_hashed_is_both_from_one_opening(tmp_path, colours, monkeypatch):
    Image.fromarray(colours).save(tmp_path / "a.png")
    opened, opening = [], images.open_file

    def counted(file):
        opened.append(file)
        return opening(file)

    monkeypatch.setattr(images, "open_file", counted)
    image, content = read_hashed(tmp_path, "a.png")
    assert opened == [tmp_path / "a.png"]
    assert content == content_hash(tmp_path, "a.png")
    np.testing.assert_array_equal(np.asarray(image), colours)


def test_a_picture_in_memory_is_read_as_its_file(tmp_path):
    ramp = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 21
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray((ramp >> 8).astype(np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    Image.fromarray(ramp).save(tmp_path / "b.png")  # of 16 bits
    for name, size in (("a.jpg", (48, 64)), ("b.png", (64, 48))):
        with Image.open(tmp_path / name) as opened:
            inside, stored = as_read(opened), opened.size
        assert (inside.size, stored) == (size, (64, 48))
        expected = read_image(tmp_path, name)
        np.testing.assert_array_equal(np.asarray(inside), np.asarray(expected))
    with pytest.raises(UserError, match=r"image in memory .* no known range"):
        as_read(Image.new("F", (8, 8)))

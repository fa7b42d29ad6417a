"""Bad input in each of the fifteen data sets: read right, or refused by name."""

import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from support.data_sets import SPLIT_FILES, WNIDS, lay_out, touch

from fdbpl_jax.data.catalogue import CATALOGUE
from fdbpl_jax.data.check import check_dataset
from fdbpl_jax.data.datasets import load_dataset
from fdbpl_jax.data.images import read_image
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.data.split_file import SPLITS
from fdbpl_jax.errors import UserError

each_data_set = pytest.mark.parametrize("name", CATALOGUE)
each_split_file = pytest.mark.parametrize("name", SPLIT_FILES)

# 2 × 3 plain colours in blocks large enough for JPEG.
COLOURS = (
    np.array(
        [
            [(250, 10, 10), (10, 240, 10), (10, 10, 230)],
            [(240, 240, 20), (20, 230, 230), (128, 128, 128)],
        ],
        np.uint8,
    )
    .repeat(16, 0)
    .repeat(16, 1)
)
GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def huge():
    """A PNG that says it is 30,000 × 30,000, and holds next to nothing."""

    def chunk(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def bad(kind):
    if kind == "huge":
        return huge()
    whole = encoded(Image.fromarray(COLOURS), "JPEG")
    text = b"<html>404 Not Found</html>"
    return {"text": text, "empty": b"", "truncated": whole[: len(whole) // 2]}[kind]


def odd(kind):
    """A whole image of an uncommon kind, and the pixels it shows."""
    image = Image.fromarray(COLOURS)
    if kind == "cmyk":
        options = {"quality": 100, "subsampling": 0}
        return encoded(image.convert("CMYK"), "JPEG", **options), COLOURS
    if kind == "palette":
        palette = image.convert("P", palette=Image.Palette.ADAPTIVE)
        return encoded(palette, "PNG"), COLOURS
    if kind == "16 bit":
        grey = Image.fromarray(GREY.astype(np.uint16) * 257)
        return encoded(grey, "PNG"), GREY[..., None].repeat(3, -1)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned to the left
    turned = encoded(image, "JPEG", quality=100, subsampling=0, exif=exif)
    return turned, np.rot90(COLOURS, -1)


def with_image(name, root, content):
    """The data set with `content` as its first test image, and the path of that."""
    data = load_dataset(name, lay_out(name, root))
    path = data.test[0].path
    (data.root / path).write_bytes(content)
    again = load_dataset(name, root)
    assert again.test == data.test  # nothing is left out
    return again, path


@each_data_set
@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "huge"])
def test_a_bad_image_is_refused_by_name(tmp_path, name, kind):
    data, path = with_image(name, tmp_path, bad(kind))
    why = "has more than 89,478,485 pixels" if kind == "huge" else "cannot be read"
    every = [e.path for split in SPLITS for e in getattr(data, split)]
    with pytest.raises(UserError) as caught:
        SourceImages(data.root).facts(every)
    assert caught.value.what.startswith(f"image '{data.root / path}' {why}")
    assert caught.value.do
    found = "\n".join(check_dataset(name, tmp_path, decode=True).problems)
    assert path in found


@each_data_set
@pytest.mark.parametrize("kind", ["cmyk", "palette", "16 bit", "turned"])
def test_an_odd_image_is_read_right(tmp_path, name, kind):
    content, shown = odd(kind)
    data, path = with_image(name, tmp_path, content)
    image = read_image(data.root, path)
    assert (image.mode, image.size) == ("RGB", shown.shape[1::-1])
    lossy = 4 if kind in ("cmyk", "turned") else 0
    assert np.abs(np.asarray(image, int) - shown).max() <= lossy
    SourceImages(data.root).facts([e.path for e in data.test])


def refused(name, root, match):
    with pytest.raises(UserError, match=match) as caught:
        load_dataset(name, root)
    assert caught.value.do  # what to do about it
    return caught.value


@each_data_set
def test_each_missing_part_is_named(tmp_path, name):
    root, layout = lay_out(name, tmp_path), CATALOGUE[name]
    folder = root / layout.folder
    (folder / layout.lists).rename(root / "lists")
    refused(name, root, str(folder / layout.lists))
    (root / "lists").rename(folder / layout.lists)
    if layout.images:
        (folder / layout.images).rename(root / "away")
        refused(name, root, f"'{folder / layout.images}', which is not a folder")
    folder.rename(root / "nowhere")
    refused(name, root, f"'{name}' needs the folder '{layout.folder}' in '{root}'")


@each_data_set
def test_a_missing_image_is_named_or_its_class_is(tmp_path, name):
    data = load_dataset(name, lay_out(name, tmp_path))
    (data.root / data.test[0].path).unlink()
    folder, _, file = data.test[0].path.rpartition("/")
    listed = name in SPLIT_FILES or name == "fgvc_aircraft"
    refused(name, tmp_path, file if listed else f"no image: {folder.split('/')[-1]}")


@pytest.mark.parametrize("place", ["train", "val"])
def test_imagenet_without_one_of_its_parts_is_refused(tmp_path, place):
    folder = lay_out("imagenet", tmp_path) / "imagenet" / "images" / place
    folder.rename(tmp_path / "away")
    refused("imagenet", tmp_path, f"'{folder}' .No such file")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("imagenet", "train"),
        ("imagenet", "val"),
        ("imagenetv2", ""),
        ("imagenet_sketch", ""),
        ("imagenet_a", ""),
        ("imagenet_r", ""),
    ],
)
def test_missing_and_extra_class_folders_are_named(tmp_path, name, place):
    root = lay_out(name, tmp_path)
    folder = root / CATALOGUE[name].folder / CATALOGUE[name].images / place
    extra = WNIDS[0] if name == "imagenet_a" else "stray"  # of ImageNet, not of its own
    (folder / extra).mkdir()
    refused(name, root, f"{folder}': 1 class folders are of no class: {extra}")
    gone = sorted(path for path in folder.iterdir() if path.name != extra)[1]
    gone.rename(root / "gone")
    refused(name, root, rf"are missing: {gone.name}; .* of no class: {extra}")
    (folder / extra).rmdir()
    refused(name, root, f"{folder}': 1 class folders are missing: {gone.name}")


@each_split_file
@pytest.mark.parametrize(
    ("row", "match"),
    [
        (["more.jpg", 3, "gap"], "up to 3 but 1 of them are never used: 2"),
        ("again", "1 images twice: '{path}' .in train and test"),
        (["a/../../more.jpg", 0, "x"], "the path 'a/../../more.jpg'"),
    ],
)
def test_a_split_file_that_contradicts_itself_is_refused(tmp_path, name, row, match):
    layout = CATALOGUE[name]
    file = lay_out(name, tmp_path) / layout.folder / layout.lists
    rows = json.loads(file.read_text())
    again = rows["train"][0]
    rows["test"].append(again if row == "again" else row)
    file.write_text(json.dumps(rows))
    wrong = refused(name, tmp_path, match.format(path=again[0]))
    assert str(file) in wrong.what


@pytest.mark.parametrize(
    ("file", "line", "match"),
    [
        ("variants", "747", "no image of 1 variants: 747"),
        ("variants", "707-320", "'707-320' twice"),
        ("images_variant_val", "0000000 707-320", "twice: '0000000.jpg' .in train and"),
        ("images_variant_val", "../0 707-320", "the path '../0.jpg'"),
        ("images_variant_val", "/0 707-320", "the path '/0.jpg'"),
        (
            "images_variant_val",
            "9999999 707-320",
            "variant_\\*.txt' lists .* 9999999.jpg",
        ),
        ("images_variant_val", "9999999", "line 4: '9999999' names no variant"),
    ],
)
def test_lists_of_aircraft_that_contradict_are_refused(tmp_path, file, line, match):
    lists = lay_out("fgvc_aircraft", tmp_path) / "fgvc_aircraft" / f"{file}.txt"
    lists.write_text(f"{lists.read_text()}{line}\n")
    refused("fgvc_aircraft", tmp_path, match)


@pytest.mark.parametrize("split", SPLITS)
def test_each_missing_list_of_aircraft_is_named(tmp_path, split):
    folder = lay_out("fgvc_aircraft", tmp_path) / "fgvc_aircraft"
    (folder / f"images_variant_{split}.txt").unlink()
    refused("fgvc_aircraft", tmp_path, f"{folder}/images_variant_{split}.txt")


def test_empty_lists_of_aircraft_are_refused(tmp_path):
    folder = lay_out("fgvc_aircraft", tmp_path) / "fgvc_aircraft"
    for file in folder.glob("images_variant_*.txt"):
        file.write_text("")
    refused("fgvc_aircraft", tmp_path, "no image of 3 variants: 707-320, ")
    (folder / "variants.txt").write_text("\n")
    refused("fgvc_aircraft", tmp_path, f"'{folder}/variants.txt' names no variant")


def test_what_is_no_image_in_a_class_folder_is_warned_of(tmp_path, caplog):
    images = lay_out("imagenet_sketch", tmp_path) / "imagenet-sketch" / "images"
    touch(images / WNIDS[0] / "deeper.jpg" / "a.jpg")
    (images / WNIDS[0] / "a.txt").write_text("no image")
    assert len(load_dataset("imagenet_sketch", tmp_path).test) == len(WNIDS)
    others = f"{WNIDS[0]}/a.txt, {WNIDS[0]}/deeper.jpg"
    assert f"ignored 2 entries that are no images: {others}" in caplog.text

"""All fifteen data sets, laid out small in the published places, for tests."""

import functools
import io
import json
from pathlib import Path

from PIL import Image

from fdbpl_jax.data import imagenet
from fdbpl_jax.data.catalogue import CATALOGUE
from fdbpl_jax.data.split_file import SPLITS

# Two classes of each: folder of the first image under the images' folder, name in the
# split file, and the name in a prompt.
SPLIT_FILES = {
    "caltech101": [("Faces", "Faces", "face"), ("ant", "ant", "ant")],
    "oxford_pets": [("", "Abyssinian", "abyssinian"), ("", "pug", "pug")],
    "stanford_cars": [
        ("cars_train", "2012 Audi TTS Coupe", "2012 Audi TTS Coupe"),
        ("cars_test", "Acura TL Sedan 2012", "2012 Acura TL Sedan"),
    ],
    "oxford_flowers": [
        ("", "passion flower", "passion flower"),
        ("", "rose", "rose"),
    ],
    "food101": [
        ("apple_pie", "apple_pie", "apple pie"),
        ("sushi", "sushi", "sushi"),
    ],
    "sun397": [
        ("a/abbey", "abbey", "abbey"),
        ("s/mall/indoor", "/s/shopping_mall/indoor", "indoor shopping mall"),
    ],
    "dtd": [("banded", "banded", "banded"), ("woven", "woven", "woven")],
    "eurosat": [
        ("SeaLake", "SeaLake", "Sea or Lake"),
        ("AnnualCrop", "Annual Crop Land", "Annual Crop Land"),
    ],
    "ucf101": [
        ("Archery", "Archery", "Archery"),
        ("Apply_Eye_Makeup", "ApplyEyeMakeup", "Apply Eye Makeup"),
    ],
}
WNIDS = [f"n{number:08d}" for number in range(3)]


def wnids_of(name: str) -> list[str]:
    """The class folders that `lay_out` makes."""
    return list(imagenet.subset_wnids(name)) or WNIDS


@functools.cache
def _jpeg() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (2, 2)).save(stream, "JPEG")
    return stream.getvalue()


def touch(file: Path) -> None:
    """A small image, and the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(_jpeg())


def lay_out(name: str, root: Path) -> Path:
    """The data set with a few images, in exactly the published places; the root."""
    layout = CATALOGUE[name]
    folder = root / layout.folder
    images = folder / layout.images
    if name in SPLIT_FILES:
        rows = {split: [] for split in SPLITS}
        for label, (place, raw, _) in enumerate(SPLIT_FILES[name]):
            for split in SPLITS:
                path = f"{place}/{label}_{split}.jpg".lstrip("/")
                touch(images / path)
                rows[split].append([path, label, raw])
        (folder / layout.lists).write_text(json.dumps(rows))
    elif name == "fgvc_aircraft":
        touch_aircraft(folder)
    else:
        touch_imagenet(name, images)
        lines = [f"{wnid} name of {wnid}" for wnid in sorted({*WNIDS, *wnids_of(name)})]
        (folder / layout.lists).write_text("\n".join(lines) + "\n")
    return root


def touch_aircraft(folder: Path) -> None:
    variants = ["707-320", "Model B200", "DR-400"]
    folder.mkdir(parents=True)
    (folder / "variants.txt").write_text("\n".join(variants) + "\n")
    for part, split in enumerate(SPLITS):
        lines = [f"{part}{n:06d} {name}" for n, name in enumerate(variants)]
        (folder / f"images_variant_{split}.txt").write_text("\n".join(lines) + "\n")
        for line in lines:
            touch(folder / "images" / f"{line.split()[0]}.jpg")


def touch_imagenet(name: str, images: Path) -> None:
    for number, wnid in enumerate(wnids_of(name)):
        if name == "imagenet":
            for n in range(2):
                touch(images / "train" / wnid / f"{wnid}_{n}.JPEG")
            touch(images / "val" / wnid / f"ILSVRC2012_val_{number}.JPEG")
        elif name == "imagenetv2":
            touch(images / str(number) / "a.jpeg")
        else:
            touch(images / wnid / "a.jpg")
    if name in ("imagenet_a", "imagenet_r"):
        (images / "README.txt").write_text("not a class")

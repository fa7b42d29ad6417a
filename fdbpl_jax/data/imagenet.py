"""ImageNet and its four variants: folders of class folders, and one list of names.

`classnames.txt` has a line `<wnid> <name>` a class, in the order of the wnids. A name
may come twice ("missile", "sunglasses"); the field leaves those two pairs as they are.
"""

import importlib.resources
import json
from collections.abc import Sequence
from pathlib import Path

from fdbpl_jax.data.catalogue import Layout
from fdbpl_jax.data.listing import class_folders, folder_names, labelled
from fdbpl_jax.data.types import Dataset, first_few
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import read_lines


def read_imagenet(name: str, layout: Layout, folder: Path) -> Dataset:
    """Read ImageNet from `images/{train,val}/<wnid>/`, in the order of the wnids.

    The published validation images are the test images, and there are none to validate
    on: CoOp validates on the test images, which chooses settings by them.

    Raises:
      UserError: a list or folder is missing, or class folders are not those named.
    """
    names = read_class_names(folder / layout.lists)
    images = folder / layout.images
    examples = {}
    for split, place in (("train", "train"), ("test", "val")):
        root = images / place
        wnids = folder_names(root)
        _check_folders(root, wnids, list(names))
        record = folder / f"fdbpl_jax_{place}_list.json"
        examples[split] = labelled(class_folders(root, wnids, record), wnids, place)
    words = tuple(names[wnid] for wnid in sorted(names))
    train, test = examples["train"], examples["test"]
    return Dataset(name, images, words, layout.template, train, (), test)


def read_test_only(name: str, layout: Layout, folder: Path) -> Dataset:
    """Read a variant from `<images>/<wnid>/`, all for testing.

    The labels are those of its own classes, in the order of the wnids: 1000 of
    ImageNet-Sketch, 200 of ImageNet-A and ImageNet-R, whose text is then that of these
    200 classes alone.

    Raises: as `read_imagenet`.
    """
    names = read_class_names(folder / layout.lists)
    wnids = subset_wnids(name) or sorted(names)
    if unnamed := [wnid for wnid in wnids if wnid not in names]:
        raise UserError(
            f"'{folder / layout.lists}' has no line of {len(unnamed)} of the "
            f"{len(wnids)} classes of '{name}': {first_few(unnamed)}",
            "Fetch CoOp's classnames.txt, which has all 1000 classes of ImageNet.",
        )
    root = folder / layout.images
    _check_folders(root, folder_names(root), wnids)
    return _test_only(name, layout, folder, wnids, [names[wnid] for wnid in wnids])


def subset_wnids(name: str) -> tuple[str, ...]:
    """The 200 classes of ImageNet-A or of ImageNet-R, sorted; of other data sets none.

    They are those of the authors' evaluation code (github.com/hendrycks/
    natural-adv-examples and imagenet-r).
    """
    file = importlib.resources.files(__package__) / "imagenet_subsets.json"
    lines = json.loads(file.read_text(encoding="utf-8")).get(name, [])
    return tuple(" ".join(lines).split())


def read_numbered(name: str, layout: Layout, folder: Path) -> Dataset:
    """Read ImageNet-V2 from `<images>/<n>/`, n the line of `classnames.txt` from 0.

    Raises: as `read_imagenet`.
    """
    names = read_class_names(folder / layout.lists)
    root, numbers = folder / layout.images, [str(n) for n in range(len(names))]
    _check_folders(root, folder_names(root), numbers)
    return _test_only(name, layout, folder, numbers, list(names.values()))


def read_class_names(file: Path) -> dict[str, str]:
    """Read the names by wnid, in the order of the file's lines `<wnid> <name>`.

    Raises:
      UserError: it cannot be read, has another line, or a wnid twice.
    """
    do = "Put CoOp's classnames.txt there: a line '<wnid> <name>' a class."
    names: dict[str, str] = {}
    for number, line in read_lines(file, do):
        wnid, _, name = line.partition(" ")
        if not name.strip() or wnid in names:
            raise UserError(
                f"'{file}', line {number} is '{line[:80]}'",
                "Expected '<wnid> <name>', each wnid once.",
            )
        names[wnid] = name.strip()
    if not names:
        raise UserError(f"'{file}' names no class", do)
    return names


def _test_only(
    name: str, layout: Layout, folder: Path, folders: Sequence[str], words: list[str]
) -> Dataset:
    root = folder / layout.images
    files = class_folders(root, folders, folder / "fdbpl_jax_test_list.json")
    test = labelled(files, folders)
    return Dataset(name, root, tuple(words), layout.template, (), (), test)


def _check_folders(root: Path, present: Sequence[str], expected: Sequence[str]) -> None:
    missing = sorted(set(expected) - set(present))
    extra = sorted(set(present) - set(expected))
    parts = [
        f"{len(names)} class folders {what}: {first_few(names)}"
        for what, names in (("are missing", missing), ("are of no class", extra))
        if names
    ]
    if parts:
        raise UserError(
            f"'{root}': {'; '.join(parts)}",
            "There must be one folder for each class, and no other: unpack the whole "
            "archive there again. Images that lie directly in 'val' must be sorted "
            "into class folders first.",
        )

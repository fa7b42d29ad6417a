"""Data sets in a plain folder of class folders, with or without folders of splits."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from fdbpl_jax.data.listing import folder_names, image_names
from fdbpl_jax.data.split_file import PART_OF, parts_named
from fdbpl_jax.data.splits import (
    TEMPLATE,
    refuse_same_words,
    refuse_untested,
    split_classes,
    with_test,
)
from fdbpl_jax.data.types import Dataset, Example
from fdbpl_jax.errors import UserError

_DO = (
    "Expected <root>/<class>/<image> or <root>/<split>/<class>/<image>, images "
    "directly in the class folders: add images or remove these folders."
)


def split_folder(root: Path, template: str = TEMPLATE, seed: int = 0) -> Dataset:
    """Read `<root>/<class>/<image>` or `<root>/<split>/<class>/<image>`.

    The folders are the classes, in sorted order. Without splits each class is split
    with `seed`, see `split_classes`; if there are folders called "train" and "test",
    with class folders in them, these are the splits, see `with_test`.

    Raises:
      UserError: there is no class folder; classes have too few images, or two names
        that read the same in a prompt; see also `image_names`.
    """
    folders = folder_names(root)
    if not folders:
        raise UserError(
            f"'{root}' has no folder in it",
            "A plain folder of images is <root>/<class>/<image>, a folder a class.",
        )
    stated = _stated(root, folders)
    paths = [path for of in stated.values() for path in of] or folders
    names = sorted({PurePosixPath(path).name for path in paths})
    refuse_same_words(root, names)
    if stated:
        images = {part: _examples(root, of, names) for part, of in stated.items()}
        parts = with_test(root, images, names, _DO)
        refuse_untested(root, parts["test"], names)
    else:
        parts = split_classes(root, _examples(root, paths, names), names, _DO, seed)
    return Dataset(root.name, root, tuple(names), template, **parts)


def _stated(root: Path, folders: Sequence[str]) -> dict[str, list[str]]:
    """The class folders of each part; none where the folders are themselves classes."""
    if not all(name.lower() in PART_OF for name in folders):
        return {}
    named = parts_named(root, folders)
    inner = {part: folder_names(root / name) for part, name in named.items()}
    if not any(inner.values()):
        return {}
    if empty := [named[part] for part, classes in inner.items() if not classes]:
        raise UserError(
            f"'{root / empty[0]}' has no class folder in it, unlike the other splits",
            "Sort its images into class folders, or move it away.",
        )
    return {
        part: [f"{named[part]}/{name}" for name in classes]
        for part, classes in inner.items()
    }


def _examples(
    root: Path, folders: Sequence[str], names: Sequence[str]
) -> list[Example]:
    label_of = {name: label for label, name in enumerate(names)}
    return [
        Example(f"{folder}/{image}", label_of[PurePosixPath(folder).name])
        for folder, images in image_names(root, folders).items()
        for image in images
    ]

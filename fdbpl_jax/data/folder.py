"""Data sets in a plain folder of class folders, with or without folders of splits."""

from collections.abc import Sequence
from pathlib import Path

from fdbpl_jax.data.class_names import check_class_names
from fdbpl_jax.data.listing import folder_names, image_names, labelled
from fdbpl_jax.data.parts import Divide, refuse_untested, with_test
from fdbpl_jax.data.split_file import PART_OF, parts_named
from fdbpl_jax.data.splits import TEMPLATE
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.errors import UserError

_DO = (
    "Expected <root>/<class>/<image> or <root>/<split>/<class>/<image>, images "
    "directly in the class folders: add images or remove these folders."
)


def split_folder(
    root: Path, template: str = TEMPLATE, divide: Divide = with_test
) -> Dataset:
    """Read `<root>/<class>/<image>` or `<root>/<split>/<class>/<image>`.

    The folders are the classes, in sorted order; `divide` makes the parts. If there are
    folders called "train" and "test", with class folders in them, these are the splits
    that the data state.

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
    splits = _splits(root, folders) or {"": folders}
    names = sorted({name for classes in splits.values() for name in classes})
    check_class_names(root, names)
    images = {
        split: labelled(image_names(root / split, classes), names, split)
        for split, classes in splits.items()
    }
    stated = {PART_OF.get(split.lower(), "train"): of for split, of in images.items()}
    parts = divide(root, stated, names, _DO)
    if parts["test"]:
        refuse_untested(root, parts["test"], names)
    return Dataset(root.name, root, tuple(names), template, **parts)


def _splits(root: Path, folders: Sequence[str]) -> dict[str, list[str]]:
    """The class folders of each split; none where the folders are classes."""
    if not all(name.lower() in PART_OF for name in folders):
        return {}
    parts_named(root, folders)  # each once
    splits = {name: folder_names(root / name) for name in folders}
    empty = [name for name, classes in splits.items() if not classes]
    if len(empty) == len(folders):
        return {}
    if empty:
        raise UserError(
            f"'{root / empty[0]}' has no class folder in it, unlike the other splits",
            "Sort its images into class folders, or move it away.",
        )
    return splits

"""The shapes tasks as ordinary data sets: PNG files, rendered once into a cache."""

from functools import partial
from pathlib import Path

from absl import logging

from fdbpl_jax import errors
from fdbpl_jax.data import datasets
from fdbpl_jax.files import write_folder
from fdbpl_jax.shapes import render, world

PER_CLASS = {"train": 24, "val": 24, "test": 60}  # pictures of each class


def load_shapes(name: str, cache_dir: Path) -> datasets.Dataset:
    """The shapes task `name` ("shapes-negative", …), rendered on first use.

    They are kept in `<name>-v<version>/`. Any number of processes may render at once:
    each draws into a folder of its own, and the first to finish gives it its final
    name. Labels are in the order of `world.class_names()`.

    Raises: `UserError` for an unknown name or a cache that cannot be written.
    """
    task = world.task(name)
    root = Path(cache_dir) / f"{name}-v{world.VERSION}"
    if not is_whole(root):
        try:
            logging.info("rendering %s into %s", name, root)
            write_folder(root, partial(_render, name), partial(is_whole, root))
        except OSError as error:
            raise errors.UserError(
                f"the pictures of '{name}' could not be written to '{root}': {error}",
                "Free some space (20 MB), or name another cache folder.",
            ) from error
    splits = {split: _examples(split) for split in PER_CLASS}
    return datasets.Dataset(
        name=name,
        root=root,
        class_names=world.class_names(),
        template=task.template,
        **splits,
    )


def is_whole(root: Path) -> bool:
    """Whether `root` holds every picture of a task."""
    present = {path.relative_to(root).as_posix() for path in root.glob("*/*/*.png")}
    return all(e.path in present for split in PER_CLASS for e in _examples(split))


def _examples(split: str) -> tuple[datasets.Example, ...]:
    return tuple(
        datasets.Example(path=_path(split, class_name, index), label=label)
        for label, class_name in enumerate(world.class_names())
        for index in range(PER_CLASS[split])
    )


def _path(split: str, class_name: str, index: int) -> str:
    return f"{split}/{class_name.replace(' ', '_')}/{index:03d}.png"


def _render(name: str, directory: Path) -> None:
    looks = world.classes()
    for split in PER_CLASS:
        for index, example in enumerate(_examples(split)):
            file = directory / example.path
            file.parent.mkdir(parents=True, exist_ok=True)
            number = index % PER_CLASS[split]
            render.render(name, looks[example.label], number, split).save(file)

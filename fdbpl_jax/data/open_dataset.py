"""A data set by its name: an embedded one, rendered if need be, or one on disk."""

from pathlib import Path

from fdbpl_jax.data.catalogue import CATALOGUE
from fdbpl_jax.data.datasets import load_dataset
from fdbpl_jax.data.splits import TEMPLATE
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.errors import UserError
from fdbpl_jax.shapes.dataset import load_shapes
from fdbpl_jax.shapes.world import TASKS


def has_template(name: str) -> bool:
    """Whether a data set comes with a template of its own, unlike a user's own data."""
    return name in TASKS or name in CATALOGUE


def open_dataset(
    name: str, root: str, rendered: Path, setting: str, template: str = ""
) -> Dataset:
    """Open a whole data set.

    Args:
      name: one of the embedded tasks, or as of `load_dataset`.
      root: the folder that holds the data sets; the embedded ones need none, nor do
        paths of own data, which are then relative to the working directory.
      rendered: the folder in which embedded ones are rendered, once.
      setting: what the user sets the root by, such as "--data_root".
      template: of own data; empty: `TEMPLATE`.

    Raises:
      UserError: there is no root, no such data set, or something is wrong with it.
    """
    if name in TASKS:
        return load_shapes(name, rendered)
    if not root and not Path(name).expanduser().exists():
        raise UserError(
            f"data set '{name}' needs {setting}, which is empty",
            "Set it to the folder that holds the data sets; the embedded ones "
            f"({', '.join(TASKS)}) need none.",
        )
    return load_dataset(name, Path(root), template or TEMPLATE)


def open_by_flag(name: str, data_root: str) -> Dataset:
    """`open_dataset` for commands whose root is --data_root.

    Embedded data are rendered there, by default where the default run has done so.
    """
    rendered = Path(data_root or "runs/shapes")
    return open_dataset(name, data_root, rendered, "--data_root")

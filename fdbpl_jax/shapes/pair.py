"""The place of the embedded pair of tiny CLIPs."""

from importlib.resources import files
from pathlib import Path

from fdbpl_jax.errors import UserError


def embedded(which: str) -> Path:
    """The folder of the embedded "student" or "teacher", in Hugging Face layout.

    Raises:
      UserError: the installation lacks its package data.
    """
    folder = Path(str(files("fdbpl_jax.shapes"))) / "models" / which
    if not folder.is_dir():
        raise UserError(
            f"the embedded {which} is not in '{folder}'",
            "Install the package again, or set --config.student and --config.teacher.",
        )
    return folder

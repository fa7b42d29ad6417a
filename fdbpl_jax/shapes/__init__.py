"""The embedded default: a rendered world and a tiny CLIP pair trained on it."""

from pathlib import Path

from fdbpl_jax.errors import UserError


def embedded(which: str) -> Path:
    """The folder of the embedded "student" or "teacher", in Hugging Face layout.

    Raises:
      UserError: the installation lacks its package data.
    """
    folder = Path(__file__).parent / "models" / which
    if not folder.is_dir():
        raise UserError(
            f"the embedded {which} is not in '{folder}'",
            "Install the package again, or set --config.student and --config.teacher.",
        )
    return folder

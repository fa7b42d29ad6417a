"""Small files, put in place whole or not at all."""

import os
from pathlib import Path

from fdbpl_jax.errors import UserError


def write_text(path: Path, text: str) -> None:
    """Writes `path` (UTF-8), making its folder; another reader sees all of it or none.

    Raises:
      UserError: it cannot be written; what was there stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}",
            "Make room or allow writing there and run the same command again: "
            "finished cells are kept.",
        ) from error

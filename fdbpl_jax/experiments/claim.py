"""A cell's folder and the settings it was made with."""

import json
from pathlib import Path
from typing import Any

from fdbpl_jax.errors import UserError
from fdbpl_jax.files import write_text


def claim(directory: Path, settings: dict[str, Any]) -> None:
    """Writes the cell's settings, or refuses a cell that was made with others.

    Args:
      directory: of the cell.
      settings: all that decides the cell's numbers; JSON values.

    Raises:
      UserError: naming the first setting that differs, and both values.
    """
    settings = json.loads(json.dumps(settings))  # tuples become lists, as on disk
    file = directory / "config.json"
    if not file.exists():
        write_text(file, json.dumps(settings, indent=2) + "\n")
        return
    try:
        earlier = json.loads(file.read_text())
    except ValueError as error:
        raise UserError(
            f"'{file}' is not JSON: {error}", f"Remove '{directory}' and run again."
        ) from error
    for name, (before, now) in _differences(earlier, settings).items():
        raise UserError(
            f"'{directory}' was made with {name} = {before!r}, this run has {now!r}",
            f"Use another --workdir, or remove '{directory}'.",
        )


def _differences(
    before: dict[str, Any], now: dict[str, Any], where: str = ""
) -> dict[str, tuple[Any, Any]]:
    found = {}
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found |= _differences(old, new, f"{where}{key}.")
        elif old != new:
            found[where + key] = (old, new)
    return found

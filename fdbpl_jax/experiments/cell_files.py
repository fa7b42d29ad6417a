"""What a finished cell keeps: its settings, results, rejection and exported prompts.

Each line of `results.jsonl` has the digest of the settings (`config.json`) and of the
files beside it, so that none can be changed, lost or exchanged with another cell's
without being noticed. Version 0.1.0 wrote no digests; its cells are read without.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
from absl import logging

from fdbpl_jax.errors import UserError
from fdbpl_jax.files import write_text
from fdbpl_jax.reports.results import CellResult, Rejection
from fdbpl_jax.sealed import SEAL, digest, file_digest, parse, seal, unseal_if_sealed
from fdbpl_jax.training.checkpoint import check_export

RESULTS = "results.jsonl"  # a line per data set that the prompts were tested on
EXPORT = "export"
_SETTINGS, _REJECTION = "config.json", "rejection.json"
_BESIDE = (_REJECTION, f"{EXPORT}/prompts.json")


def write_settings(directory: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a cell, JSON values."""
    write_text(directory / _SETTINGS, json.dumps(seal(settings), indent=2) + "\n")


def read_settings(directory: Path) -> dict[str, Any] | None:
    """Read the settings of a cell; None where there are none, or damaged ones (logged).

    Those of version 0.1.0 have no digest, and only have to be JSON.
    """
    file = directory / _SETTINGS
    try:
        return unseal_if_sealed(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logging.warning("'%s' is damaged (%s)", file, error)
        return None


def settings_digest(directory: Path) -> str:
    """Hash the settings of a cell as they are written; empty where there are none."""
    settings = read_settings(directory)
    return "" if settings is None else digest(settings)


def write_results(directory: Path, results: list[CellResult]) -> None:
    """Write the results of a cell, last: with them it is finished."""
    files = [name for name in _BESIDE if (directory / name).exists()]
    facts = {
        "settings": settings_digest(directory),
        "lines": len(results),
        "files": {name: file_digest(directory / name) for name in files},
    }
    text = "".join(result.to_json(facts) for result in results)
    write_text(directory / RESULTS, text)


def read_results(directory: Path) -> list[CellResult]:
    """Read the results of a finished cell, and check all that it keeps.

    Raises:
      UserError: something is damaged, lost or another cell's.
    """
    file = directory / RESULTS
    results, facts = _read_lines(file)
    if not facts:
        if _is_sealed(directory / _SETTINGS):
            raise _not_whole(file, "its digest is missing")
    elif facts["settings"] != settings_digest(directory):
        raise _not_whole(file, f"it does not belong to the {_SETTINGS} beside it")
    for name, expected in facts.get("files", {}).items():
        if file_digest(directory / name) != expected:
            raise _not_whole(directory / name, "it is lost, or was changed")
    read_rejection(directory)
    if f"{EXPORT}/prompts.json" in facts.get("files", {}):
        check_export(directory / EXPORT)
    return results


def settings_of_results(directory: Path) -> str | None:
    """The digest of the settings that whole results are of; None where there are none.

    Empty for results of version 0.1.0.
    """
    if not (directory / RESULTS).exists():
        return None
    try:
        return _read_lines(directory / RESULTS)[1].get("settings", "")
    except UserError:
        return None


def discard_damaged(directory: Path) -> None:
    """Remove the results of a cell where they are not whole: it is to be run again."""
    try:
        if (directory / RESULTS).exists():
            read_results(directory)
    except UserError as error:
        logging.warning("%s: the cell is run again", error.what)
        (directory / RESULTS).unlink(missing_ok=True)


def write_rejection(directory: Path, lines: list[Rejection]) -> None:
    """Write how well a cell rejects; before its results."""
    text = msgspec.json.format(msgspec.json.encode(lines), indent=1)
    write_text(directory / _REJECTION, text.decode() + "\n")


def read_rejection(directory: Path) -> list[Rejection]:
    """Read how well a finished cell rejects; empty if it has no negative prompt.

    Raises:
      UserError: the file is damaged.
    """
    file = directory / _REJECTION
    if not file.exists():
        return []
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Rejection])
    except (OSError, msgspec.MsgspecError) as error:
        raise _not_whole(file, str(error)) from error


def _read_lines(file: Path) -> tuple[list[CellResult], dict[str, Any]]:
    """The results of a file and the facts that its lines share; {} without digests."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, ValueError) as error:
        raise _not_whole(file, str(error)) from error
    parsed = [CellResult.parse(line, f"'{file}'") for line in lines]
    facts = parsed[0][1] if parsed else {}
    is_one = all(other == facts for _, other in parsed)
    if not parsed or not is_one or facts.get("lines", len(parsed)) != len(parsed):
        raise _not_whole(file, "lines of it are lost, or another cell's")
    return [result for result, _ in parsed], facts


def _is_sealed(file: Path) -> bool:
    try:
        return SEAL in parse(file.read_bytes())
    except (OSError, ValueError):
        return False


def _not_whole(file: Path, reason: str) -> UserError:
    return UserError(
        f"'{file}' cannot be trusted: {reason}",
        "Run the command of the cell again: what is damaged is made anew.",
    )

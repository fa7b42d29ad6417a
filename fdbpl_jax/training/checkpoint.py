"""Saved training states and exported prompts. The only importer of Orbax.

What Orbax wrote is read only if its files have the digest that was taken of them: of
damaged ones it makes other numbers, or long tracebacks.
"""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from orbax.checkpoint import v1 as ocp

from fdbpl_jax.errors import UserError, one_line
from fdbpl_jax.files import write_folder, write_text
from fdbpl_jax.files.sealed import folder_digest, parse, seal, unseal

_EXPORT_FORMAT = 2  # 1 had no digests
_KEPT = 2  # checkpoints of a cell
_OVERHEAD = 200_000  # bytes of what Orbax writes beside the arrays, at most
# Orbax looks whether it is there; in it stands the folder's absolute path, which is
# nothing for an export that goes to other machines.
_COMMITTED = "commit_success.txt"
_ITEMS, _RECORD = "items", "checkpoint.json"  # of a checkpoint; the second has digests


class Checkpoints:
    """The checkpoints of one cell: training state, loader position, time spent.

    A folder for each epoch. One that is damaged, was not completed or is of another
    cell is never restored.
    """

    def __init__(self, directory: Path, identity: str = "") -> None:
        """Takes the folder, and what tells this cell from others."""
        self._directory = directory.resolve()  # Orbax refuses relative paths
        self._identity = identity

    def save(
        self, epoch: int, state: Any, loader: Any, spent: dict[str, float]
    ) -> None:
        """Saves what training needs to go on after `epoch` finished epochs.

        `loader` is the Grain iterator; `spent` has the "seconds" of training, and of
        them those "waited" for data. The newest two checkpoints are kept.
        """
        spent = {name: np.float64(value) for name, value in spent.items()}
        items = {"state": state, "loader": loader, "spent": spent}

        def write(folder: Path) -> None:
            ocp.save_checkpointables(folder / _ITEMS, items)
            record = self._expected(epoch) | {"shapes": _shapes(state)}
            record["files"] = folder_digest(folder / _ITEMS)
            (folder / _RECORD).write_text(json.dumps(seal(record)))

        def is_whole() -> bool:
            return self._read(epoch) is not None

        with _writing(self._directory, state):
            write_folder(self._directory / str(epoch), write, is_whole)
        earlier = [e for e in self._epochs() if e <= epoch]
        # A later one was not whole, or training had gone on from there.
        for other in set(self._epochs()) - set(earlier[-_KEPT:]):
            shutil.rmtree(self._directory / str(other), ignore_errors=True)

    def restore(self, state: Any, loader: Any) -> tuple[Any, int, dict[str, float]]:
        """The newest whole checkpoint: its state, epoch and time spent.

        `loader` is set to its position. Each one that is not whole is logged. `state`
        is one of the same shapes, returned unchanged when nothing whole is saved.

        Raises:
          UserError: the saved state is another one's.
        """
        spent = {"seconds": np.float64(0), "waited": np.float64(0)}
        for unfinished in self._directory.glob(".*"):  # a save that was killed
            shutil.rmtree(unfinished, ignore_errors=True)
        for epoch in reversed(self._epochs()):
            record, folder = self._read(epoch), self._directory / str(epoch)
            if record is None:
                message = "'%s' is damaged, or of another cell or version: not used"
                logging.warning(message, folder)
                continue
            # Orbax leaves coroutines behind when it finds out itself.
            if record["shapes"] != _shapes(state):
                raise UserError(
                    f"the checkpoint of epoch {epoch} in '{self._directory}' does not "
                    "hold this run's state: another version wrote it",
                    f"Remove '{self._directory}' and run again: the cell starts anew.",
                )
            shapes = jax.tree.map(ocp.arrays.to_shape_dtype_struct, state)
            wanted = {"state": shapes, "loader": loader, "spent": spent}
            saved = ocp.load_checkpointables(folder / _ITEMS, wanted)
            seconds = {name: float(value) for name, value in saved["spent"].items()}
            return saved["state"], epoch, seconds
        if self._epochs():
            message = "'%s' has no whole checkpoint: the cell starts again"
            logging.warning(message, self._directory)
        return state, 0, dict.fromkeys(spent, 0.0)

    def _epochs(self) -> list[int]:
        """Of all checkpoints, whole or not, in order."""
        folders = self._directory.glob("*")
        return sorted(int(f.name) for f in folders if f.name.isdecimal())

    def _expected(self, epoch: int) -> dict[str, Any]:
        return {"identity": self._identity, "epoch": epoch}

    def _read(self, epoch: int) -> dict[str, Any] | None:
        """The record of a checkpoint; None if that is not whole."""
        folder = self._directory / str(epoch)
        try:
            record = unseal((folder / _RECORD).read_bytes())
        except (OSError, ValueError):
            return None
        expected = self._expected(epoch) | {"files": folder_digest(folder / _ITEMS)}
        return record if record | expected == record else None


def _shapes(state: Any) -> list[list[Any]]:
    """Names, shapes and dtypes of the leaves, as JSON values."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return [
        [jax.tree_util.keystr(path), list(leaf.shape), str(leaf.dtype)]
        for path, leaf in leaves
    ]


@contextlib.contextmanager
def _writing(folder: Path, arrays: Any) -> Iterator[None]:
    """Refuse to begin what a disk cannot hold, and say in one line why Orbax failed."""
    need = 2 * sum(array.nbytes for array in jax.tree.leaves(arrays)) + _OVERHEAD
    try:
        # Of a full disk Orbax's threads report by themselves, at length.
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < need:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        yield
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot write '{folder}': {one_line(error)}",
            "Make room or allow writing there and run the same command again: it goes "
            "on from the last checkpoint.",
        ) from error


def export_prompts(directory: Path, prompts: dict, facts: dict[str, Any]) -> None:
    """Writes prompts and all that is needed to use them elsewhere.

    An older export in `directory` is replaced. Prompts are {"positive": {"context":
    …}, "negative": …}, facts JSON values: class names, model fingerprints, config …
    """
    shapes = jax.tree.map(lambda array: list(array.shape), prompts)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "prompts.json").unlink(missing_ok=True)
    # As NumPy arrays: they load on any machine, whatever devices it has.
    host, folder = jax.device_get(prompts), directory / "prompts"
    with _writing(directory, host):
        ocp.save(folder.resolve(), host, overwrite=True)
        if (folder / _COMMITTED).exists():
            (folder / _COMMITTED).write_text("complete\n")
    meta = {"format": _EXPORT_FORMAT, "shapes": shapes, "files": folder_digest(folder)}
    # Written last: without it there is no export. Read back, tuples are lists.
    sealed = seal(json.loads(json.dumps(facts | meta)))
    text = json.dumps(sealed, indent=2, sort_keys=True) + "\n"
    write_text(directory / "prompts.json", text)


def load_prompts(directory: Path) -> tuple[dict, dict[str, Any]]:
    """Exported prompts (float32 NumPy arrays) and their facts.

    Raises:
      UserError: no complete export in `directory`, a damaged one, or one of another
        format. Exports of version 0.1.0 have no digests, and are not checked.
    """
    facts, folder = check_export(directory), directory / "prompts"
    try:
        wanted = jax.tree.map(
            lambda shape: np.zeros(shape, np.float32),
            facts["shapes"],
            is_leaf=lambda node: isinstance(node, list),
        )
        return ocp.load(folder.resolve(), wanted), facts
    # What Orbax raises depends on where the damage is.
    except Exception as error:
        raise _damaged(directory, str(error).partition("\n")[0]) from error


def check_export(directory: Path) -> dict[str, Any]:
    """The facts of an export, whose files are compared with their digest.

    Raises:
      UserError: as `load_prompts`.
    """
    facts = _export_facts(directory)
    if facts["format"] > 1 and facts["files"] != folder_digest(directory / "prompts"):
        raise _damaged(directory, "its files are not those that were written")
    return facts


def _export_facts(directory: Path) -> dict[str, Any]:
    file = directory / "prompts.json"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(
            f"no exported prompts in '{directory}'",
            "Give the 'export' folder of a finished cell.",
        ) from error
    try:
        facts = parse(content)
        kind = facts.get("format")
        if kind == _EXPORT_FORMAT:
            return unseal(content)
    except ValueError as error:
        raise _damaged(directory, f"'{file.name}': {error}") from error
    if kind != 1:
        raise UserError(
            f"'{directory}' has export format {kind}",
            f"This version reads formats 1 and {_EXPORT_FORMAT}; export the prompts "
            "again.",
        )
    return facts


def _damaged(directory: Path, reason: str) -> UserError:
    return UserError(
        f"the exported prompts in '{directory}' are damaged: {reason}",
        "Run the command that made them again.",
    )

"""Saved training states and exported prompts. The only importer of Orbax."""

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
from orbax.checkpoint import v1 as ocp

from fdbpl_jax.errors import UserError, one_line
from fdbpl_jax.files import write_text

_EXPORT_FORMAT = 1
_KEPT = 2  # checkpoints of a cell
_OVERHEAD = 200_000  # bytes of what Orbax writes beside the arrays, at most


class Checkpoints:
    """The checkpoints of one cell: training state, loader position, time spent.

    `restore` never finds a save that was cut short.
    """

    def __init__(self, directory: Path) -> None:
        policies = ocp.training.preservation_policies
        # Orbax refuses relative paths.
        self._checkpointer = ocp.training.Checkpointer(
            directory.resolve(), preservation_policy=policies.LatestN(_KEPT)
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self._checkpointer.close()

    def save(
        self, epoch: int, state: Any, loader: Any, spent: dict[str, float]
    ) -> None:
        """Saves what training needs to go on after `epoch` finished epochs.

        `loader` is the Grain iterator; `spent` has the "seconds" of training, and of
        them those "waited" for data.
        """
        spent = {name: np.float64(value) for name, value in spent.items()}
        items = {"state": state, "loader": loader, "spent": spent}
        with _writing(Path(self._checkpointer.directory), state):
            self._checkpointer.save_checkpointables(epoch, items, force=True)

    def restore(self, state: Any, loader: Any) -> tuple[Any, int, dict[str, float]]:
        """The newest saved state, its epoch and time spent; `loader` is set there.

        `state` is one of the same shapes, returned unchanged when nothing is saved.

        Raises:
          UserError: the saved state is another one's.
        """
        spent = {"seconds": np.float64(0), "waited": np.float64(0)}
        if self._checkpointer.latest is None:
            return state, 0, dict.fromkeys(spent, 0.0)
        epoch = self._checkpointer.latest.step
        wanted = {
            "state": jax.tree.map(ocp.arrays.to_shape_dtype_struct, state),
            "loader": loader,
            "spent": spent,
        }
        try:
            saved = self._checkpointer.load_checkpointables(None, wanted)
        # What Orbax raises depends on where the stored state differs.
        except (KeyError, ValueError, TypeError) as error:
            folder = self._checkpointer.directory
            raise UserError(
                f"the checkpoint of epoch {epoch} in '{folder}' does not hold "
                "this run's state: another version wrote it, or it is damaged",
                f"Remove '{folder}' and run again: the cell starts anew.",
            ) from error
        seconds = {name: float(value) for name, value in saved["spent"].items()}
        return saved["state"], epoch, seconds


@contextlib.contextmanager
def _writing(folder: Path, arrays: Any) -> Iterator[None]:
    """Refuse to begin what a disk cannot hold, and say in one line why Orbax failed."""
    need = 2 * sum(array.nbytes for array in jax.tree.leaves(arrays)) + _OVERHEAD
    try:
        # Of a full disk Orbax's threads report by themselves, at length.
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
    meta = {"format": _EXPORT_FORMAT, "shapes": shapes, **facts}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "prompts.json").unlink(missing_ok=True)
    # As NumPy arrays: they load on any machine, whatever devices it has.
    host = jax.device_get(prompts)
    with _writing(directory, host):
        ocp.save((directory / "prompts").resolve(), host, overwrite=True)
    # Written last: without it there is no export.
    text = json.dumps(meta, indent=2, sort_keys=True) + "\n"
    write_text(directory / "prompts.json", text)


def load_prompts(directory: Path) -> tuple[dict, dict[str, Any]]:
    """Exported prompts (float32 NumPy arrays) and their facts.

    Raises:
      UserError: no complete export in `directory`, or one of another format.
    """
    try:
        facts = json.loads((directory / "prompts.json").read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"no exported prompts in '{directory}'",
            "Give the 'export' folder of a finished cell.",
        ) from error
    if facts.get("format") != _EXPORT_FORMAT:
        raise UserError(
            f"'{directory}' has export format {facts.get('format')}",
            f"This version reads format {_EXPORT_FORMAT}; export the prompts again.",
        )
    wanted = jax.tree.map(
        lambda shape: np.zeros(shape, np.float32),
        facts["shapes"],
        is_leaf=lambda node: isinstance(node, list),
    )
    return ocp.load((directory / "prompts").resolve(), wanted), facts

"""A run's numbers, step by step: JSON lines always, TensorBoard on request."""

import json
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Shaped

from fdbpl_jax.errors import UserError
from fdbpl_jax.files import write_text

Scalar = float | int | np.generic | Shaped[Array | np.ndarray, ""]


class MetricsWriter:
    """Appends one line a step to `<directory>/metrics.jsonl`; use it in a `with`.

    A line is `{"step": 12, "epoch": 0, "loss": 1.25, ...}`. A number that is NaN or
    infinite is written as null, as JSON has neither and most readers take null for a
    missing value. Whatever was written is in the operating system's hands when the
    call returns, so a run that saves its checkpoint after writing loses no step.

    A resumed run gives the step it goes on from. Lines of that step and later ones, and
    a last line cut short by the kill, are dropped first, so that a run that was killed
    and resumed has every step exactly once.

    Args:
      directory: made if it is missing.
      tensorboard: also write TensorBoard events to `<directory>/tensorboard`.
      resume_step: the first step this run will write; 0 starts a new file.

    Raises:
      UserError: an earlier metrics.jsonl is not what this class writes, the directory
        cannot be written to, or tensorboardX is asked for and not installed.
    """

    def __init__(
        self, directory: Path, tensorboard: bool, resume_step: int = 0
    ) -> None:
        self._path = directory / "metrics.jsonl"
        self._next_step = resume_step
        self._events = None
        events = _import_tensorboard() if tensorboard else None
        try:
            directory.mkdir(parents=True, exist_ok=True)
            _drop_from(self._path, resume_step)
            # Unbuffered: a failed write must fail in the write, not again in close.
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise _cannot_write(self._path, error) from error
        if events:
            # purge_step hides what the killed run wrote from this step on.
            self._events = events.SummaryWriter(
                str(directory / "tensorboard"), purge_step=resume_step
            )

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        if self._events:
            self._events.close()

    def write_many(
        self,
        first_step: int,
        values: Mapping[str, Shaped[Array | np.ndarray, " S"] | Scalar],
    ) -> None:
        """Write S consecutive steps at once, as a compiled epoch returns them.

        Args:
          first_step: the step of each array's first entry.
          values: arrays of one length S, or a scalar that is the same for each step
            (the epoch); at least one array.

        Raises:
          UserError: the disk is full or the file cannot be written to.
          ValueError: the first step is not after the last one written, or the lengths
            differ.
        """
        host = {name: np.asarray(value) for name, value in values.items()}
        lengths = {array.shape for array in host.values() if array.ndim}
        if len(lengths) != 1 or len(shape := lengths.pop()) != 1:
            raise ValueError(
                "expected vectors of one length, got "
                + ", ".join(f"{name} {array.shape}" for name, array in host.items())
            )
        if first_step < self._next_step:
            last = self._next_step - 1
            raise ValueError(f"step {first_step} comes after step {last}")
        self._next_step = first_step + shape[0]
        columns = [np.broadcast_to(array, shape).tolist() for array in host.values()]
        rows = [dict(zip(host, row, strict=True)) for row in zip(*columns, strict=True)]
        self._append(list(enumerate(rows, first_step)))

    def _append(self, rows: list[tuple[int, dict[str, int | float]]]) -> None:
        lines = []
        for step, values in rows:
            line = {"step": step} | {
                k: v if math.isfinite(v) else None for k, v in values.items()
            }
            lines.append(json.dumps(line, allow_nan=False) + "\n")
        data = "".join(lines).encode()
        try:
            while data:  # an unbuffered write may take less than all of it
                data = data[self._file.write(data) :]
            if self._events:
                for step, values in rows:
                    for name, value in values.items():
                        self._events.add_scalar(name, float(value), step)
        except OSError as error:
            raise _cannot_write(self._path, error) from error


class EpochTimes(NamedTuple):
    """Wall times of a run's epochs, in seconds."""

    epochs: int
    first: float  # with compilation
    median: float  # of the others; of a single epoch its own


def epoch_times(directory: Path) -> EpochTimes:
    """The times of a run's epochs, from its `metrics.jsonl`.

    Raises:
      UserError: there is no such file, or it holds no such times.
    """
    path, seconds = directory / "metrics.jsonl", {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            seconds[values["epoch"]] = float(values["epoch_seconds"])
        first, *others = seconds.values()
        median = statistics.median(others or [first])
        return EpochTimes(len(seconds), first, median)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"no times of epochs in '{path}': {error}",
            f"Remove '{directory}' and run its command again.",
        ) from error


def _drop_from(path: Path, step: int) -> None:
    """Rewrite the file without lines of `step` and later, and without a torn end."""
    if not path.exists():
        return
    *lines, last = path.read_bytes().split(b"\n")
    kept = [
        line for number, line in enumerate(lines, 1) if _step(path, number, line) < step
    ]
    if len(kept) == len(lines) and not last:
        return
    write_text(path, b"".join(line + b"\n" for line in kept).decode())


def _step(path: Path, number: int, line: bytes) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}, line {number}, is not one step's metrics: {line[:60]!r}",
            "The file only logs a run: move it away and run again.",
        ) from error


def _import_tensorboard():
    try:
        import tensorboardX
    except ImportError as error:
        raise UserError(
            "TensorBoard output was asked for and tensorboardX is not installed",
            "Run `pip install fdbpl-jax[tensorboard]`, or leave it off.",
        ) from error
    return tensorboardX


def _cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot write to {path}: {error.strerror or error}",
        "Make room or allow writing there and run the same command again: "
        "it goes on from the last checkpoint.",
    )

"""Alternating timing of several sides, and facts about the machine."""

import dataclasses
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

SLOW = 20.0  # seconds; a run that takes longer is repeated only so many times:
SLOW_REPEATS = 3


@dataclasses.dataclass(frozen=True)
class Side:
    """One side of a comparison.

    name: in the tables. run: does `steps` steps and returns when they are done.
    compile_seconds: time to make `run`. rounds: maximum number of timed runs; a side
    with one round is too slow to be warmed up.
    """

    name: str
    run: Callable[[], None]
    steps: int = 1
    compile_seconds: float = 0.0
    rounds: int | None = None


@dataclasses.dataclass(frozen=True)
class Timing:
    """Timings of a side: `wall` and `cpu` are seconds per step of each repeat.

    cpu is summed over the threads of this process; compared with wall it shows whether
    the cores were available. warm_up: of the untimed run before, 0 if there was none.
    """

    name: str
    steps: int
    compile_seconds: float
    warm_up: float
    wall: tuple[float, ...]
    cpu: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median wall seconds per step."""
        return statistics.median(self.wall)

    def shown(self, unit: float = 1e3, digits: int = 2) -> str:
        """Format the median (min – max) of a step, in units of 1/`unit` seconds."""
        low, high = min(self.wall) * unit, max(self.wall) * unit
        middle = self.median * unit
        return f"{middle:,.{digits}f} ({low:,.{digits}f} – {high:,.{digits}f})"

    def to_json(self) -> dict[str, Any]:
        """Return every timing as JSON values."""
        return dataclasses.asdict(self) | {"median": self.median}


def in_turns(
    sides: Sequence[Side], repeats: int, log: Callable[[str], None]
) -> list[Timing]:
    """Run each side once untimed, then all of them in turns.

    A temporary slowdown of the machine then affects all sides. A side that is slow to
    warm up takes part in the first rounds only.
    """
    warm_up = [0.0 if side.rounds == 1 else _once(side)[0] for side in sides]
    measured: list[list[tuple[float, float]]] = [[] for _ in sides]
    for turn in range(repeats):
        for side, first, seconds in zip(sides, warm_up, measured, strict=True):
            rounds = _rounds(side, first, repeats)
            if turn < rounds:
                seconds.append(_once(side))
                took = f"{seconds[-1][0]:9.4f} s a step"
                log(f"  {turn + 1}/{rounds} {took}  {side.name}")
    return [
        Timing(
            name=side.name,
            steps=side.steps,
            compile_seconds=side.compile_seconds,
            warm_up=first,
            wall=tuple(wall for wall, _ in seconds),
            cpu=tuple(cpu for _, cpu in seconds),
        )
        for side, first, seconds in zip(sides, warm_up, measured, strict=True)
    ]


def _rounds(side: Side, warm_up: float, repeats: int) -> int:
    limit = side.rounds or repeats
    if warm_up * side.steps > SLOW:
        limit = min(limit, SLOW_REPEATS)
    return min(limit, repeats)


def _once(side: Side) -> tuple[float, float]:
    """Measure wall and CPU seconds per step of one run."""
    wall, cpu = time.perf_counter(), time.process_time()
    side.run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return wall / side.steps, cpu / side.steps


def cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0))


def machine() -> dict[str, str]:
    """Describe processor, accelerators, system and versions."""
    import torch  # not above: our side's memory is measured without it

    names = ("jax", "flax", "torch", "transformers")
    theirs = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {
        "cpu": f"{_cpu_model()}, {cores()} cores",
        "accelerator": f"JAX on {jax.devices()[0].device_kind}, PyTorch on {theirs}",
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


def load() -> float:
    """Return the number of running or waiting processes, averaged over a minute."""
    return round(os.getloadavg()[0], 2)


def _cpu_model() -> str:
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    models = [line.split(":", 1)[1] for line in lines if line.startswith("model name")]
    return models[0].strip() if models else platform.machine()

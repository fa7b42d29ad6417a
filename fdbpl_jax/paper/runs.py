"""What each of the paper's tables and figures needs to be run, and the running of it.

A run is a process of its own, so that its peak memory is its own; what is finished is
not run again. One that fails does not stop the others.
"""

import dataclasses
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging

from fdbpl_jax.errors import UserError, unknown_name
from fdbpl_jax.paper.components import COMPONENTS
from fdbpl_jax.paper.pictures import FOLDER

_CONFIGS = Path("configs/paper")  # of the checkout that the command is run in
_LABELS = "hard", "full", "ms", "mr"
_DIFFERENCES = "diff2", "neg"  # parts of figure 10: with the difference losses, without


class Run(NamedTuple):
    """A run of `configs/paper/<config>.py`, with what is varied between runs."""

    config: str
    part: str = ""


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the runs are made with; empty: the embedded world's.

    keeps: figure 9's values of K. teachers: table 5's.
    """

    workdir: Path
    datasets: str
    data_root: str
    student: str
    teacher: str
    keeps: tuple[str, ...]
    teachers: tuple[str, ...]
    flags: tuple[str, ...]  # more, for every run


def needed(asked: Asked) -> Mapping[str, tuple[Run, ...]]:
    """The runs of each table and figure."""
    return {
        "table1": (Run("table1"),),
        "table2": (Run("table2"),),
        "table3": (Run("table3"),),
        "table4": tuple(Run("table4", label) for label in _LABELS),
        "table5": tuple(Run("table5", teacher) for teacher in _teachers(asked)),
        "table6": (Run("table6"),),
        "figure1": (Run("table2"),),
        "figure8": (Run("table2"),),
        "figure9": tuple(Run("figure9", keep) for keep in _keeps(asked)),
        "figure10": tuple(Run("figure10", part) for part in COMPONENTS),
        "figure11": (Run("figure10", _DIFFERENCES[0]),),
        "figure12": tuple(Run("figure10", part) for part in _DIFFERENCES),
    }


def make(names: Sequence[str], asked: Asked) -> list[str]:
    """Runs what the named tables and figures need, and draws figures 11 and 12.

    Args:
      names: of `needed`; empty: all of them.
      asked: what they are run with.

    Returns:
      What failed, in words.

    Raises:
      UserError: an unknown name, or the configs are not there.
    """
    known = needed(asked)
    for name in names:
        if name not in known:
            raise unknown_name("table or figure", name, known)
    if not _CONFIGS.is_dir():
        raise UserError(
            f"there is no folder '{_CONFIGS}' here", "Run this in a checkout's root."
        )
    names = names or list(known)
    runs = dict.fromkeys(run for name in names for run in known[name])
    failed = [run for run in runs if not _made(run, asked)]
    failed_names = [f"{run.config} {run.part}".strip() for run in failed]
    drawn = [name for name in ("figure11", "figure12") if name in names]
    return failed_names + [name for name in drawn if not _drawn(name, asked)]


def _keeps(asked: Asked) -> tuple[str, ...]:
    """The paper's values of K, or some for the embedded world's 16 classes."""
    default = ("5", "10", "15", "20", "25") if asked.datasets else ("1", "2", "4", "8")
    return asked.keeps or default


def _teachers(asked: Asked) -> tuple[str, ...]:
    """What table 5's runs are called."""
    if not asked.datasets:
        return "small", "large"
    return tuple(Path(teacher).name for teacher in _teacher_sources(asked))


def _teacher_sources(asked: Asked) -> tuple[str, ...]:
    return asked.teachers or (asked.student, asked.teacher)


def _made(run: Run, asked: Asked) -> bool:
    command = [sys.executable, "-m", "fdbpl_jax.main", *run_flags(run, asked)]
    logging.info("%s %s", *run)
    # Where memory is compared, it is to be that of the training alone.
    apart = run.config in ("figure9", "figure10")
    return (not apart or _ran([*command, "--prepare"])) and _ran(command)


def _ran(command: Sequence[str]) -> bool:
    return subprocess.run(command, check=False).returncode == 0


def run_flags(run: Run, asked: Asked) -> list[str]:
    """The flags of `fdbpl_jax.main` for a run."""
    argument = "/".join(filter(None, (run.part, asked.datasets)))
    config = f"--config={_CONFIGS}/{run.config}.py"
    flags = [f"{config}:{argument}" if argument else config]
    flags.append(f"--workdir={asked.workdir}")
    teacher = asked.teacher
    if run.config == "table5" and asked.datasets:
        teacher = dict(zip(_teachers(asked), _teacher_sources(asked), strict=True))[
            run.part
        ]
    values = {"data.root": asked.data_root, "student": asked.student}
    for name, value in (values | {"teacher": teacher}).items():
        if value:
            flags.append(f"--config.{name}={value}")
    return [*flags, *asked.flags]


def _drawn(name: str, asked: Asked) -> bool:
    cells = [_cell(asked, part) for part in _DIFFERENCES]
    needs = cells[:1] if name == "figure11" else cells
    if None in needs:
        return False
    picture = asked.workdir / "paper" / FOLDER / f"{name}.png"
    flags = [f"--cell={cells[0]}", f"--picture={picture}"]
    flags.append(f"--data_root={asked.data_root or asked.workdir / 'shapes'}")
    if name == "figure12":
        flags += [f"--other={cells[1]}", f"--features={asked.workdir / 'features'}"]
    what = "attention" if name == "figure11" else "cases"
    command = [sys.executable, "-m", "fdbpl_jax.visualize", what, *flags]
    return _ran(command)


def _cell(asked: Asked, part: str) -> Path | None:
    """The first finished cell of a part of figure 10."""
    folder = asked.workdir / "paper" / "figure10" / part
    first = (asked.datasets or "*").split(",")[0]
    found = sorted(folder.glob(f"{first}/coop+fdbpl/seed*/results.jsonl"))
    return found[0].parent if found else None

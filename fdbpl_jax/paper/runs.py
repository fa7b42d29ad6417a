"""The runs that each of the paper's tables and figures needs.

A run is a process of its own, so that its peak memory is its own; finished cells are
not run again. A run that fails does not stop the others.
"""

import dataclasses
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging

from fdbpl_jax.errors import UserError, unknown_name
from fdbpl_jax.paper.figures import COMPONENTS
from fdbpl_jax.paper.pictures import DIFFERENCES, DRAWN, draw
from fdbpl_jax.paper.tables import TITLES
from fdbpl_jax.terminal.signals import start, wait

CONFIGS = Path("configs/paper")  # in the working directory, or the program's own
NAMES = (*TITLES, "figure1", "figure8", "figure9", "figure10", *DRAWN)

_PARTS: Mapping[str, tuple[str, ...]] = {  # of those that options do not change
    "table4": ("hard", "full", "ms", "mr"),
    "figure10": tuple(COMPONENTS),
    "figure11": DIFFERENCES[:1],
    "figure12": DIFFERENCES,
}
_CONFIG_OF = {  # where it has none of its own
    **dict.fromkeys(("figure1", "figure8"), "table2"),
    **dict.fromkeys(DRAWN, "figure10"),
}


class PaperRun(NamedTuple):
    """A run of `configs/paper/<config>.py`."""

    config: str
    part: str = ""  # what is varied between the runs of a config

    @property
    def apart(self) -> bool:
        """Whether its memory is compared: of training alone, and of one data set."""
        return self.config in ("figure9", "figure10")


@dataclasses.dataclass(frozen=True)
class PaperOptions:
    """The flags that runs are made with; empty: the embedded world's."""

    workdir: Path
    datasets: str = ""  # with commas
    data_root: str = ""
    student: str = ""
    teacher: str = ""
    keep: int | None = None  # table 4's K
    keeps: Sequence[str] = ()  # figure 9's values of K
    teachers: Sequence[str] = ()  # table 5's
    flags: Sequence[str] = ()  # more, for every run


def runs_of(name: str, options: PaperOptions) -> tuple[PaperRun, ...]:
    """List the runs of a table or figure.

    Raises:
      UserError: an unknown name, or values of K or teachers that make no runs.
    """
    if name not in NAMES:
        raise unknown_name("table or figure", name, NAMES)
    parts: Iterable[str] = _PARTS.get(name, ("",))
    if name == "table5":
        parts = _teachers(options)
    elif name == "figure9":
        parts = _keeps(options)
    return tuple(PaperRun(_CONFIG_OF.get(name, name), part) for part in parts)


def _keeps(options: PaperOptions) -> Sequence[str]:
    """The paper's values of K, or some for the embedded world's 16 classes."""
    for keep in options.keeps:
        if not keep.isdecimal() or int(keep) < 1:
            raise UserError(
                f"'{keep}' is no number of labels", "Give --keeps=5,10, say."
            )
    default = "5 10 15 20 25" if options.datasets else "1 2 4 8"
    return options.keeps or default.split()


def _teachers(options: PaperOptions) -> dict[str, str]:
    """Table 5's teachers, by the last part of their names, which their runs have."""
    if not options.datasets:
        if options.teachers:
            raise UserError(
                "--teachers are given without --datasets",
                "On the embedded world table 5 has its own two.",
            )
        return {"small": "", "large": ""}
    sources = options.teachers or (options.student, options.teacher)
    by_name = {Path(source).name: source for source in sources}
    if "" in by_name or len(by_name) < len(sources):
        raise UserError(
            f"table 5's teachers {', '.join(map(repr, sources))} have no names that "
            "tell them apart",
            "Give --teachers=A,B (or --student and --teacher) whose last parts differ.",
        )
    return by_name


def run_flags(run: PaperRun, options: PaperOptions) -> list[str]:
    """List the flags of `fdbpl_jax.main` for a run."""
    datasets = options.datasets.split(",")[0] if run.apart else options.datasets
    argument = "/".join(filter(None, (run.part, datasets)))
    config = f"--config={CONFIGS}/{run.config}.py"
    flags = [f"{config}:{argument}" if argument else config]
    flags.append(f"--workdir={options.workdir}")
    sparse = run.config == "table4" and run.part in ("ms", "mr")
    teachers = _teachers(options) if run.config == "table5" else {}
    values = {
        "data.root": options.data_root,
        "student": options.student,
        "ril.keep": options.keep if sparse else None,
        "teacher": teachers.get(run.part, options.teacher),
    }
    flags += [f"--config.{name}={value}" for name, value in values.items() if value]
    return [*flags, *options.flags]


def make(names: Sequence[str], options: PaperOptions) -> list[str]:
    """Run what the named tables and figures (or all) need, and return what failed.

    Raises:
      UserError: what `runs_of` refuses, or the configs are not there.
    """
    names = names or NAMES
    # Each once, though several tables and figures need it.
    runs = dict.fromkeys(run for name in names for run in runs_of(name, options))
    failed = [f"{r.config} {r.part}".strip() for r in runs if not _made(r, options)]
    # Last, because this process then holds the device, which the runs need.
    pictures = [name for name in DRAWN if name in names]
    return failed + [name for name in pictures if not _drawn(name, options)]


def _made(run: PaperRun, options: PaperOptions) -> bool:
    command = [sys.executable, "-m", "fdbpl_jax.main", *run_flags(run, options)]
    logging.info("%s %s", *run)
    # What cells share is made in a process before one whose memory is compared.
    commands = [[*command, "--prepare"], command] if run.apart else [command]
    return all(wait(start(c)) == 0 for c in commands)


def _drawn(name: str, options: PaperOptions) -> bool:
    logging.info("%s", name)
    try:
        draw(name, options.workdir, options.data_root)
    except UserError as error:
        logging.error("%s", error)
        return False
    return True

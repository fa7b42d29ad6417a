"""What each of the paper's tables and figures needs to be run, as commands."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax.errors import UserError, unknown_name
from fdbpl_jax.paper.components import COMPONENTS

CONFIGS = Path("configs/paper")  # of the checkout that the command is run in
DIFFERENCES = "diff2", "neg"  # parts of figure 10: with the difference losses, without
DRAWN = "figure11", "figure12"  # pictures of cells of figure 10
NAMES = (
    *("table1", "table2", "table3", "table4", "table5", "table6"),
    *("figure1", "figure8", "figure9", "figure10", *DRAWN),
)

_LABELS = "hard", "full", "ms", "mr"
# Memory is compared: that of the training alone, and of one data set.
_APART = "figure9", "figure10"
_CONFIG_OF = {  # where it has none of its own
    **dict.fromkeys(("figure1", "figure8"), "table2"),
    **dict.fromkeys(DRAWN, "figure10"),
}


class PaperRun(NamedTuple):
    """A run of `configs/paper/<config>.py`, with what is varied between its runs."""

    config: str
    part: str = ""

    @property
    def apart(self) -> bool:
        """Whether what cells share is made in a process before it."""
        return self.config in _APART


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the runs are made with; empty: the embedded world's.

    keep: table 4's K. keeps: figure 9's. teachers: table 5's.
    """

    workdir: Path
    datasets: str
    data_root: str
    student: str
    teacher: str
    keep: str
    keeps: tuple[str, ...]
    teachers: tuple[str, ...]
    flags: tuple[str, ...]  # more, for every run


def runs_of(name: str, asked: Asked) -> tuple[PaperRun, ...]:
    """The runs of a table or figure.

    Raises:
      UserError: an unknown name, or values of K or teachers that make no runs.
    """
    if name not in NAMES:
        raise unknown_name("table or figure", name, NAMES)
    match name:
        case "table4":
            parts = _LABELS
        case "table5":
            parts = tuple(_teachers(asked))
        case "figure9":
            parts = _keeps(asked)
        case "figure10":
            parts = tuple(COMPONENTS)
        case "figure11":
            parts = DIFFERENCES[:1]
        case "figure12":
            parts = DIFFERENCES
        case _:
            parts = ("",)
    return tuple(PaperRun(_CONFIG_OF.get(name, name), part) for part in parts)


def _keeps(asked: Asked) -> tuple[str, ...]:
    """The paper's values of K, or some for the embedded world's 16 classes."""
    for keep in asked.keeps:
        if not keep.isdecimal() or int(keep) < 1:
            raise UserError(
                f"'{keep}' is no number of labels", "Give --keeps=5,10, say."
            )
    default = ("5", "10", "15", "20", "25") if asked.datasets else ("1", "2", "4", "8")
    return asked.keeps or default


def _teachers(asked: Asked) -> dict[str, str]:
    """Table 5's teachers, by the last part of their names, which their runs have."""
    if not asked.datasets:
        if asked.teachers:
            raise UserError(
                "--teachers are given without --datasets",
                "On the embedded world table 5 has its own two.",
            )
        return {"small": "", "large": ""}
    sources = asked.teachers or (asked.student, asked.teacher)
    found = {Path(source).name: source for source in sources}
    if "" in found or len(found) < len(sources):
        raise UserError(
            f"table 5's teachers {', '.join(map(repr, sources))} have no names that "
            "tell them apart",
            "Give --teachers=A,B (or --student and --teacher) whose last parts differ.",
        )
    return found


def run_flags(run: PaperRun, asked: Asked) -> list[str]:
    """The flags of `fdbpl_jax.main` for a run.

    Runs whose memory is compared are of the first data set alone.
    """
    datasets = asked.datasets.split(",")[0] if run.apart else asked.datasets
    argument = "/".join(filter(None, (run.part, datasets)))
    config = f"--config={CONFIGS}/{run.config}.py"
    flags = [f"{config}:{argument}" if argument else config]
    flags.append(f"--workdir={asked.workdir}")
    values = {"data.root": asked.data_root, "student": asked.student}
    if run.config == "table4" and run.part in ("ms", "mr"):
        values["ril.keep"] = asked.keep
    values["teacher"] = asked.teacher
    if run.config == "table5":
        values["teacher"] = _teachers(asked)[run.part]
    flags += [f"--config.{name}={value}" for name, value in values.items() if value]
    return [*flags, *asked.flags]


def all_runs(names: Sequence[str], asked: Asked) -> list[PaperRun]:
    """What the named tables and figures need, each run once, in the paper's order."""
    return list(dict.fromkeys(run for name in names for run in runs_of(name, asked)))

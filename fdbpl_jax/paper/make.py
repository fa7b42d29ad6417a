"""Running what tables and figures need, and drawing figures 11 and 12.

A run is a process of its own, so that its peak memory is its own; what is finished is
not run again. One that fails does not stop the others.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from fdbpl_jax.errors import UserError
from fdbpl_jax.paper.pictures import drawn_run, picture_file
from fdbpl_jax.paper.runs import (
    CONFIGS,
    DIFFERENCES,
    DRAWN,
    NAMES,
    Asked,
    PaperRun,
    all_runs,
    run_flags,
)


def make(names: Sequence[str], asked: Asked) -> list[str]:
    """Runs what the named tables and figures need, and draws those that are pictures.

    Args:
      names: of `NAMES`; empty: all of them.
      asked: what they are run with.

    Returns:
      What failed, in words.

    Raises:
      UserError: what `runs_of` refuses, or the configs are not there.
    """
    names = names or NAMES
    runs = all_runs(names, asked)
    if not CONFIGS.is_dir():
        raise UserError(
            f"there is no folder '{CONFIGS}' here", "Run this in a checkout's root."
        )
    failed = [f"{r.config} {r.part}".strip() for r in runs if not _made(r, asked)]
    return failed + [name for name in DRAWN if name in names and not _draw(name, asked)]


def _made(run: PaperRun, asked: Asked) -> bool:
    command = [sys.executable, "-m", "fdbpl_jax.main", *run_flags(run, asked)]
    logging.info("%s %s", *run)
    return (not run.apart or _ran([*command, "--prepare"])) and _ran(command)


def _ran(command: Sequence[str]) -> bool:
    return subprocess.run(command, check=False).returncode == 0


def _draw(name: str, asked: Asked) -> bool:
    run = drawn_run(asked.workdir)
    cells = _cells(asked.workdir, DIFFERENCES, run.dataset) if run else []
    if run and not cells and name == "figure11":  # of figure 12's cell, or else of any
        cells = _cells(asked.workdir, DIFFERENCES[:1], run.dataset)
    if not run or not cells:
        logging.error("%s: there are no finished cells of figure 10 to draw", name)
        return False
    flags = [
        f"--cell={cells[0]}",
        f"--picture={picture_file(asked.workdir, name, run.dataset)}",
        f"--data_root={asked.data_root or asked.workdir / 'shapes'}",
    ]
    if name == "figure12":
        flags += [f"--other={cells[1]}", f"--features={asked.workdir / 'features'}"]
    what = "attention" if name == "figure11" else "cases"
    return _ran([sys.executable, "-m", "fdbpl_jax.paper.look", what, *flags])


def _cells(workdir: Path, parts: Sequence[str], dataset: str) -> list[Path]:
    """Of each part of figure 10, of the first seed that all of them have finished."""
    folders = [
        workdir / "paper" / "figure10" / part / dataset / "coop+fdbpl" for part in parts
    ]
    finished = [
        {file.parent.name for file in folder.glob("seed*/results.jsonl")}
        for folder in folders
    ]
    seeds = sorted(set.intersection(*finished))
    return [folder / seeds[0] for folder in folders] if seeds else []

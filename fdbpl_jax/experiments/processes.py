"""Cells of one run in several processes, each with its share of them."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import logging


def run_shares(count: int, flags: Sequence[str], logs: Path) -> list[int]:
    """Run `python -m fdbpl_jax.main <flags> --shard=i/count` for every i, at once.

    What each process prints goes to `<logs>/<i>.log`. Returns their exit statuses: a
    share that failed is no error here, whoever reads the cells sees what is missing.
    """
    logs.mkdir(parents=True, exist_ok=True)
    running = []
    for index in range(count):
        command = [sys.executable, "-m", "fdbpl_jax.main", *flags]
        command.append(f"--shard={index}/{count}")
        with (logs / f"{index}.log").open("w") as log:
            running.append(subprocess.Popen(command, stdout=log, stderr=log))
    logging.info("%d processes; what they print is in %s", count, logs)
    try:
        statuses = [process.wait() for process in running]
    finally:
        for process in running:
            process.terminate()
    for index, status in enumerate(statuses):
        if status:
            logging.warning("share %d ended with %d: see %d.log", index, status, index)
    return statuses

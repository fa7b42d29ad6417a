"""Finished runs of `configs/paper/`, as figures read them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax.published import Published
from fdbpl_jax.report import read_report
from fdbpl_jax.report_facts import RunFacts
from fdbpl_jax.report_text import missing
from fdbpl_jax.results import AVERAGE, Row

MIB = 2**20


class Finished(NamedTuple):
    """A run that left a report: its folder, the rows of what it trained, its facts."""

    folder: Path
    rows: tuple[Row, ...]
    facts: RunFacts


def finished_runs(folders: Iterable[Path]) -> list[Finished]:
    """Those of the folders that hold a report, in their order.

    Raises:
      UserError: a report is not whole.
    """
    found = []
    for folder in folders:
        if not (folder / "report.json").exists():
            continue
        rows, facts = read_report(folder)
        trained = (r for r in rows if r.trained_values and r.dataset != AVERAGE)
        found.append(Finished(folder, tuple(trained), facts))
    return found


def lost(runs: Sequence[Finished]) -> tuple[str, ...]:
    """What the runs lack, in sentences."""
    failures = (failure for run in runs for failure in run.facts.failures)
    return (*(what for run in runs for what in missing(run.rows)), *failures)


def claims(figure: str, published: Published) -> str:
    """What the paper's text says of a figure; the values drawn there are not in it."""
    said = [f"{c.what}: {c.value}" for c in published.claims if c.figure == figure]
    return f"The paper's text: {'; '.join(said)}." if said else ""


def per_mib(size: int | None) -> float | None:
    """Bytes in MiB; None where they are not known."""
    return size / MIB if size else None

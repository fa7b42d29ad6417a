"""Finished runs of `configs/paper/`, as figures read them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax.paper.published import Published
from fdbpl_jax.reports.columns import accuracy_text, missing
from fdbpl_jax.reports.facts import RunFacts
from fdbpl_jax.reports.results import AVERAGE, Row
from fdbpl_jax.reports.write import read_report

# Of a row: in per cent, each with its spread over seeds.
ACCURACIES = ("base_mean", "base_std", "new_mean", "new_std", "hm", "hm_std")


class Finished(NamedTuple):
    """A run that left a report.

    rows: of what it trained, without averages. lost: what it lacks, in sentences.
    """

    folder: Path
    rows: tuple[Row, ...]
    lost: tuple[str, ...]
    facts: RunFacts

    @property
    def dataset(self) -> str:
        """Its first data set."""
        return next(iter(self.facts.sizes))

    def cells(self, row: Row) -> list[Path]:
        """The folders of the row's finished cells."""
        folder = self.folder / row.dataset / ",".join(row.method.split())
        return sorted(file.parent for file in folder.glob("seed*/results.jsonl"))

    def mebibytes(self, row: Row) -> float | None:
        """Peak memory while the row was trained; None where it is not known.

        A process's peak never falls, so only what it trained first has its own.
        """
        if row != self.rows[0] or not row.peak_memory_bytes:
            return None
        return row.peak_memory_bytes / 2**20


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
        lost = (*missing(rows), *facts.failures)
        found.append(Finished(folder, tuple(trained), lost, facts))
    return found


def lost(runs: Sequence[Finished]) -> tuple[str, ...]:
    """What the runs lack, in sentences, each once."""
    return tuple(dict.fromkeys(what for run in runs for what in run.lost))


def claims(figure: str, published: Published) -> str:
    """What the paper's text says of a figure; the values drawn there are not in it."""
    said = [f"{c.what}: {c.value}" for c in published.claims if c.figure == figure]
    return f"The paper's text: {'; '.join(said)}." if said else ""


def accuracy_texts(row: Row) -> tuple[str, str, str]:
    """Base, new and HM, as tables have them."""
    return (
        accuracy_text(row.base_mean, row.base_std),
        accuracy_text(row.new_mean, row.new_std),
        accuracy_text(row.hm, row.hm_std),
    )

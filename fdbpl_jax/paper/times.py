"""The paper's figures 1 and 8: training time, from the runs of table 2."""

from collections.abc import Sequence
from pathlib import Path

from fdbpl_jax.paper.finished import claims, finished_runs, lost
from fdbpl_jax.paper.published import Published
from fdbpl_jax.paper.sheet import Panel, Sheet
from fdbpl_jax.reports.columns import BLANK, seconds_text
from fdbpl_jax.reports.facts import RunFacts
from fdbpl_jax.reports.results import Row

_ABOUT = (
    "Seconds of a training with all its epochs, mean over seeds, with compilation and "
    "reading, without the RIL table, which is made once. 'KDPL's time' is that of the "
    "same learner with KDPL's loss, whose teacher sees every batch, over the line's "
    "own. "
)


def time_sheet(workdir: Path, published: Published) -> Sheet | None:
    """Figures 1 and 8: training time per data set and method.

    Args:
      workdir: of the runs.
      published: what the paper says beside its figures.

    Returns:
      None where table 2 was not run.

    Raises:
      UserError: its report is not whole.
    """
    runs = finished_runs([workdir / "paper" / "table2"])
    if not runs:
        return None
    (run,) = runs
    datasets = list(dict.fromkeys(row.dataset for row in run.rows))
    online = {(row.dataset, row.method): row.train_seconds for row in run.rows}
    pairs = [
        (row, online.get((row.dataset, _with_kdpl(row.method)))) for row in run.rows
    ]
    titles = ["dataset", "method", "train_seconds", "kdpl_train_seconds"]
    values = [[r.dataset, r.method, r.train_seconds, kdpl] for r, kdpl in pairs]
    return Sheet(
        name="figure8",
        title="Figures 1 and 8: training time",
        about=f"{_ABOUT}{_tables(run.facts)}{claims('figure8', published)}",
        titles=("data set", "method", "training (s)", "KDPL's time"),
        lines=[_texts(row, kdpl) for row, kdpl in pairs],
        words=2,
        records=[titles, *values],
        facts=(run.facts,),
        lost=lost(runs),
        panels=tuple(_panel(name, run.rows) for name in datasets),
    )


def _with_kdpl(method: str) -> str:
    return method.split("+")[0] + "+kdpl"


def _texts(row: Row, kdpl: float | None) -> tuple[str, ...]:
    own = row.train_seconds
    times = f"× {kdpl / own:.2f}" if kdpl and own else BLANK
    return row.dataset, row.method, seconds_text(own), times


def _panel(dataset: str, rows: Sequence[Row]) -> Panel:
    own = [row for row in rows if row.dataset == dataset]
    return Panel(
        title=f"training on {dataset}",
        unit="seconds",
        names=tuple(row.method for row in own),
        series={"": tuple(row.train_seconds for row in own)},
        kind="bars",
    )


def _tables(facts: RunFacts) -> str:
    built = [
        f"{name} {seconds_text(one.seconds)} s for {one.regions:,} regions"
        for name, one in facts.tables.items()
        if one.built
    ]
    return f"RIL tables made in this run: {', '.join(built)}. " if built else ""

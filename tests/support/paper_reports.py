"""Reports of made-up runs of the paper, for tests of its tables and figures."""

from pathlib import Path

from fdbpl_jax.reports.facts import RunFacts, TableFacts
from fdbpl_jax.reports.write import write_report
from support.cells import summarise

FACTS = RunFacts(
    protocol="base2new",
    command="python -m fdbpl_jax.main --config=configs/paper/table3.py",
    device="1 × cpu",
    versions={"jax": "0"},
    tables={"dtd": TableFacts(10, 5, True, 1.0, 1000, 0.01)},
    student="small 123",
    teacher="large 456",
    config=(("seeds", "(1,)"),),
    started="today",
    failures=("dtd coop seed 2: <lost>",),
    sizes={"dtd": (47, 1692)},
)


def write(workdir: Path, name: str, cells, facts: RunFacts = FACTS, planned=()) -> None:
    """A report in `<workdir>/paper/<name>`."""
    write_report(workdir / "paper" / name, summarise(cells, planned), cells, facts)

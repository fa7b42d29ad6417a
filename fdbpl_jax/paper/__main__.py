"""`python -m fdbpl_jax.paper --workdir=runs`: one page of the paper's tables."""

from pathlib import Path

from absl import flags, logging

from fdbpl_jax import published
from fdbpl_jax.cli import run_app
from fdbpl_jax.errors import UserError
from fdbpl_jax.files import write_text
from fdbpl_jax.paper import page
from fdbpl_jax.paper.tables import TITLES, collect

_WORKDIR = flags.DEFINE_string("workdir", "runs", "Of the runs of configs/paper/.")


def _main() -> None:
    workdir = Path(_WORKDIR.value)
    printed = published.load()
    tables = collect(workdir, printed)
    if not tables:
        raise UserError(
            f"no table was run in '{workdir / 'paper'}'",
            "Run python -m fdbpl_jax.main --config=configs/paper/table2.py first.",
        )
    folder = workdir / "paper"
    figure = folder / "figure11.png"
    attention = figure.read_bytes() if figure.exists() else b""
    write_text(folder / "paper.html", page.html(tables, printed, attention))
    write_text(folder / "paper.md", page.markdown(tables))
    for table in tables:
        write_text(folder / f"{table.name}.csv", page.csv_text(table))
    done = [table.name for table in tables]
    logging.info("%s: %s", folder / "paper.html", ", ".join(done))
    if rest := [name for name in TITLES if name not in done]:
        logging.info("not run: %s", ", ".join(rest))


if __name__ == "__main__":
    run_app(_main)

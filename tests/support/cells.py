"""Cells of a made-up protocol, for tests of tables and reports."""

from fdbpl_jax.reports import results
from fdbpl_jax.reports.results import CellResult, Row


def cell(dataset, method, seed, base, new, train, compiling, steps, memory):
    """A cell that learned 2048 values and waited a quarter of its training time.

    Without `memory` its process trained others, too.
    """
    return CellResult(
        dataset=dataset,
        method=method,
        seed=seed,
        base=base,
        new=new,
        train_seconds=train,
        wait_seconds=train / 4,
        steps=steps,
        trained_values=2048 if steps else 0,
        epochs_seconds=train,
        compile_seconds=compiling if steps else None,
        memory_bytes=memory or None,
    )


def summarise(cells, planned=(), averaged=()) -> list[Row]:
    """Rows of a protocol that planned its data sets × methods × seeds, unless told.

    Of a method without seeds, one cell; averages are over all data sets.
    """
    seeds = sorted({cell.seed for cell in cells if cell.seed is not None})
    unseeded = {cell.method for cell in cells if cell.seed is None}
    plan = planned or [
        (dataset, method, seed)
        for dataset in dict.fromkeys(cell.dataset for cell in cells)
        for method in dict.fromkeys(cell.method for cell in cells)
        for seed in ([None] if method in unseeded else seeds)
    ]
    datasets = list(dict.fromkeys(dataset for dataset, _, _ in plan))
    return results.summarise(cells, plan, averaged or datasets)

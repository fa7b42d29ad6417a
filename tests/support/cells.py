"""Cells of a made-up protocol, for tests of tables and reports."""

from fdbpl_jax.reports.results import CellResult


def cell(dataset, method, seed, base, new, train, test, steps, memory) -> CellResult:
    """A cell that learned 2048 values and waited a quarter of its training time."""
    return CellResult(
        dataset=dataset,
        method=method,
        seed=seed,
        base=base,
        new=new,
        train_seconds=train,
        wait_seconds=train / 4,
        test_seconds=test,
        steps=steps,
        trained_values=2048 if steps else 0,
        peak_memory_bytes=memory,
    )

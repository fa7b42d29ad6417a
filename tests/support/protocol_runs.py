"""Small runs of any protocol on the embedded world, for tests."""

from pathlib import Path

from ml_collections import ConfigDict

from fdbpl_jax.experiments.run import run
from fdbpl_jax.experiments.settings import default_config, run_config
from fdbpl_jax.reports.results import Row

TASKS = "shapes-negative", "shapes-plain"


def small(protocol: str, **changes) -> ConfigDict:
    """Two seeds of CoOp, with two shots and two epochs."""
    config = default_config()
    transfers = protocol in ("cross_dataset", "domain_generalization")
    config.update_from_flattened_dict(
        {
            "protocol": protocol,
            "data.datasets": TASKS[0],
            "data.targets": TASKS[1] if transfers else "",
            "data.shots": 2,
            "methods": "coop",
            "seeds": (1, 2),
            "optim.epochs": 2,
            "optim.batch_size": 16,
            "optim.warmup_epochs": 0,
            "optim.lr": 0.02,
            **changes,
        }
    )
    return config


def rows_of(protocol: str, workdir: Path, **changes) -> dict[tuple[str, str], Row]:
    """The rows of a small run, by data set and method."""
    rows = run(run_config(small(protocol, **changes)), workdir, "the test")
    return {(row.dataset, row.method): row for row in rows}

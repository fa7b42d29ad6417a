"""A seed gives the same numbers, whatever the number of threads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = (
    *("data.datasets=shapes-negative", "data.shots=1", "methods=promptsrc"),
    *("seeds=1,", "optim.epochs=2", "optim.batch_size=16"),
)


def metrics(workdir: Path, flags: str) -> list[dict[str, float]]:
    command = [sys.executable, "-m", "fdbpl_jax.main", "--config=configs/base2new.py"]
    command += [f"--workdir={workdir}", *(f"--config.{setting}" for setting in SMALL)]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "XLA_FLAGS": flags}
    subprocess.run(command, check=True, cwd=root, env=environment, capture_output=True)
    (file,) = workdir.glob("*/*/promptsrc/seed1/metrics.jsonl")
    lines = map(json.loads, file.read_text().splitlines())
    return [{k: v for k, v in x.items() if "second" not in k} for x in lines]


@pytest.mark.slow
def test_threads_do_not_change_a_bit(tmp_path):
    several = metrics(tmp_path / "several", "")
    assert len(several) >= 2
    single = "--xla_cpu_multi_thread_eigen=false"
    assert metrics(tmp_path / "single", single) == several

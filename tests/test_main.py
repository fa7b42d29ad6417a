"""The command as a person calls it: exit status, and one message instead of a trace."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def call(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "fdbpl_jax.main", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--config is missing"),
        (["--config=configs/nothing.py"], "configs/nothing.py"),
        (["--config.shot=3", "--config=configs/base2new.py"], "shot"),
        (["--config=configs/base2new.py", "--config.ril.keeep=3"], 'mean "keep"'),
        (["--config=configs/base2new.py", "--config.optim.epochs=many"], "epochs"),
        (["--config=configs/base2new.py", "--config.methods=cop"], "mean 'coop'"),
        (["--config=configs/base2new.py", "--config.platform=tpu"], "'tpu'"),
        (
            ["--config=configs/base2new.py:dtd", "--config.data.root=none"],
            "none' is not",
        ),
        (["--config=configs/base2new.py", "--wrokdir=x"], "workdir"),
        (
            [
                *("--config=configs/base2new.py", "--config.seeds=1"),
                *("--config.seeds=2", "--dry_run"),
            ],
            "--config.seeds is given twice",
        ),
    ],
)
def test_bad_input_ends_in_one_message_and_status_2(arguments, message, tmp_path):
    result = call(*arguments, f"--workdir={tmp_path}")
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr

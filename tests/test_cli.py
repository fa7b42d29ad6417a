"""The frame of all commands: exit statuses, output that goes nowhere, warnings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fdbpl_jax.cli import share_of
from fdbpl_jax.errors import UserError, one_line

ROOT = Path(__file__).resolve().parents[1]
BUFFERED = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
METHODS = "-m fdbpl_jax.methods --for=coop"


def shell(arguments: str) -> subprocess.CompletedProcess:
    """A Python command with the redirections of a shell."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{sys.executable} {arguments}"],
        cwd=ROOT,
        env=BUFFERED | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_ends_well():
    done = shell("-m fdbpl_jax.data --help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--root" in done.stdout


def test_a_full_disk_under_the_output_is_one_line():
    done = shell(f"{METHODS} > /dev/full")
    assert done.returncode == 2
    assert done.stderr == "error: No space left on device\n"


@pytest.mark.parametrize("ending", ["| true", ">&-"])
def test_an_output_that_nobody_reads_is_no_error(ending):
    done = shell(f"{METHODS} {ending}")
    assert done.returncode in (0, 141)
    assert done.stderr == ""


PROGRAM = """
import warnings
from absl import logging
from fdbpl_jax.cli import run_app

def main():
    for number in range(9):
        logging.warning("small data: %s", "12 images")
        warnings.warn(f"slow in {number}")
    logging.error("a\\x1b[1m failed\\nand another")
    raise OSError(28, "No space left on device", "a\\tfile")

run_app(main)
"""


def test_a_warning_is_said_once_and_everything_in_one_line(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    done = shell(str(tmp_path / "program.py"))
    said = [line[9:] for line in done.stderr.splitlines()[:-1]]
    assert said == [
        "small data: 12 images",
        "slow in 0",
        r"a\x1b[1m failed and another",
    ]
    last = done.stderr.splitlines()[-1]
    assert last == "error: No space left on device: 'a file'"
    assert done.returncode == 2


def test_an_error_is_said_also_where_the_output_cannot_be_written(tmp_path):
    code = "from fdbpl_jax import cli, errors; error = errors.UserError('bad'); "
    main = "lambda: (print('x'), (_ for _ in ()).throw(error))"
    (tmp_path / "program.py").write_text(f"{code}cli.run_app({main})")
    done = shell(f"{tmp_path / 'program.py'} > /dev/full")
    assert (done.returncode, done.stderr) == (2, "error: bad.\n")


CONFIG = "def get_config():\n    return 1 / 0\n"


def test_a_config_file_that_fails_says_where(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(CONFIG)
    done = shell(f"-m fdbpl_jax.main --config={file}")
    assert done.returncode == 2
    place = f"Raised in {file}, line 2."
    assert done.stderr == f"error: ZeroDivisionError: division by zero. {place}\n"


@pytest.mark.parametrize("text", ["", "1", "1/1", "-1/2", "a/b", "0/" + "9" * 5000])
def test_a_share_that_is_none_is_refused(text):
    with pytest.raises(UserError, match="--shard is"):
        share_of(text)


def test_one_line_of_anything():
    assert one_line(MemoryError()) == "MemoryError"
    assert one_line("a\n b\x00\udce9") == r"a b\x00\udce9"
    assert len(one_line("x" * 10**6)) < 5000

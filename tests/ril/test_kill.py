"""Builds in processes of their own: killed, side by side, and from the command line."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import write_pictures

from fdbpl_jax.ril.show import describe
from fdbpl_jax.ril.table import open_table
from fdbpl_jax.ril.verify import verify_table

SHARDS = 4 * 6  # blocks and arrays


def call(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "fdbpl_jax.ril", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def build(tmp_path_factory, pair_dirs) -> Callable[[Path], subprocess.Popen]:
    root = tmp_path_factory.mktemp("classes")
    write_pictures(root, 120)  # 60 are for training

    def start(path: Path) -> subprocess.Popen:
        return call(
            "build",
            "--dataset=folder",
            f"--data_root={root}",
            f"--student={pair_dirs[0]}",
            f"--teacher={pair_dirs[1]}",
            f"--path={path}",
            "--subset=all",
            "--shots=0",
            "--regions=40",
            "--batch_size=32",
        )

    return start


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, build) -> Path:
    path = tmp_path_factory.mktemp("unbroken") / "t"
    finish(build(path))
    return path


def finish(process: subprocess.Popen) -> str:
    _, log = process.communicate(timeout=120)
    assert process.returncode == 0, log
    return log


def files(path: Path) -> dict[str, bytes]:
    found = [file for file in path.rglob("*") if file.is_file()]
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in found}


def shards(path: Path) -> int:
    return sum(file.name == "0" for file in path.rglob("c/**/*") if file.is_file())


def kill_when(process: subprocess.Popen, reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_a_build_killed_anywhere_goes_on_to_the_same_bits(tmp_path, build, unbroken):
    path = tmp_path / "t"
    moments = [
        lambda: (path / "building" / "spec.json").exists(),
        lambda: any(path.rglob("*.__lock")),  # in the middle of a write
        lambda: shards(path) >= 9,
        lambda: shards(path) >= SHARDS - 1,
    ]
    before = -1
    for reached in moments:
        kill_when(build(path), reached)
        assert not (path / "manifest.json").exists()
        assert shards(path) >= max(before, 0)  # nothing finished is lost
        before = shards(path)
    log = finish(build(path))
    made = SHARDS - before
    assert f"{2400 if not before else ''}" in log
    assert made > 0
    assert files(path) == files(unbroken)


def test_two_builders_share_the_work_and_make_one_table(tmp_path, build, unbroken):
    path = tmp_path / "t"
    logs = [finish(process) for process in (build(path), build(path))]
    assert files(path) == files(unbroken)
    made = [int(log.split(": ")[-1].split(" of its")[0]) for log in logs]
    assert sum(made) == 2400  # no block was made twice


def test_verify_and_show_from_the_command_line(unbroken, tmp_path):
    process = call("verify", str(unbroken))
    out, _ = process.communicate()
    assert (process.returncode, out) == (
        0,
        "OK: 60 images, 2400 regions, 6 arrays, features of 1 student(s)\n",
    )
    process = call("show", str(unbroken))
    out, _ = process.communicate()
    assert out.strip() == describe(unbroken).strip()
    process = call("verify", str(tmp_path / "none"))
    out, log = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert "error: there is no finished RIL table" in log
    assert "Traceback" not in log


def test_the_command_line_builds_what_it_says(unbroken):
    assert verify_table(unbroken).regions == 2400
    spec = open_table(unbroken).spec
    assert (spec.dataset, spec.regions, spec.keep) == ("folder", 40, 6)

"""Builds in processes of their own: killed, side by side, and from the command line."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fdbpl_jax.config import RilConfig
from fdbpl_jax.data.datasets import load_dataset
from fdbpl_jax.data.splits import few_shot, subset
from fdbpl_jax.ril.build import build_table, plan_spec
from fdbpl_jax.ril.inspect.show import describe
from fdbpl_jax.ril.table import open_table


def call(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "fdbpl_jax.ril", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, write_pictures) -> Path:
    root = tmp_path_factory.mktemp("classes")
    write_pictures(root, 120)  # 60 are for training
    return root


@pytest.fixture(scope="module")
def build(pictures, pair_dirs) -> Callable[[Path], subprocess.Popen]:
    def start(path: Path) -> subprocess.Popen:
        return call(
            "build",
            "--dataset=folder",
            f"--data_root={pictures}",
            f"--student={pair_dirs[0]}",
            f"--teacher={pair_dirs[1]}",
            f"--path={path}",
            "--subset=all",
            "--shots=0",
            "--regions=40",
        )

    return start


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, pictures, teacher, student) -> Path:
    path = tmp_path_factory.mktemp("unbroken") / "t"
    dataset = load_dataset("folder", pictures)
    spec = plan_spec(dataset, teacher, student, RilConfig(), 40)
    build_table(path, spec, dataset.root, teacher, student)
    return path


def finish(process: subprocess.Popen) -> str:
    _, log = process.communicate(timeout=120)
    assert process.returncode == 0, log
    return log


def made(log: str) -> int:
    """How many regions a build says that it made."""
    return int(log.rsplit(": ", 1)[1].split()[0])


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


def test_a_build_killed_anywhere_goes_on_to_the_same_bits(
    tmp_path, build, unbroken, files
):
    path = tmp_path / "t"
    moments = [
        lambda: (path / "building" / "spec.json").exists(),
        lambda: any(path.rglob("*.__lock")),  # in the middle of a write
        lambda: shards(path) >= 9,
    ]
    before = 0
    for reached in moments:
        kill_when(build(path), reached)
        assert not (path / "manifest.json").exists()
        assert before <= shards(path)  # nothing finished is lost
        before = shards(path)
    whole = sum((path / f"entropy/c/{block}/0").exists() for block in range(4))
    assert made(finish(build(path))) <= 2400 - (whole - 1) * 16 * 40
    assert files(path) == files(unbroken)


def test_two_builders_share_the_work_and_make_one_table(
    tmp_path, build, unbroken, files
):
    path = tmp_path / "t"
    logs = [finish(process) for process in (build(path), build(path))]
    assert sum(made(log) for log in logs) == 2400  # no block was made twice
    assert files(path) == files(unbroken)


def test_a_table_serves_the_shots_of_all_seeds(tmp_path, pictures, pair_dirs):
    finish(
        call(
            "build",
            "--dataset=folder",
            f"--data_root={pictures}",
            f"--student={pair_dirs[0]}",
            f"--teacher={pair_dirs[1]}",
            f"--path={tmp_path / 't'}",
            "--subset=base",
            "--shots=1",
            "--seeds=1,4",
            "--regions=1",
        )
    )
    dataset = load_dataset("folder", pictures)
    drawn = {
        example.path
        for seed in (1, 4)
        for example in subset(few_shot(dataset, 1, seed), "base").train
    }
    spec = open_table(tmp_path / "t").spec
    assert len(drawn) > 3  # three classes: the seeds differ
    assert [image.path for image in spec.images] == sorted(drawn)
    assert spec.class_names == subset(dataset, "base").class_names


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--flip=nan", "flip"),
        ("--scale=0.5,1.5", "scale"),
        ("--ratio=1,inf", "ratio"),
        ("--scale=0.5", "scale"),
        ("--ratio=2,1", r"ril.crop.ratio is (2.0, 1.0)"),
    ],
)
def test_a_crop_that_the_main_program_refuses_is_refused(tmp_path, flag, message):
    process = call("build", f"--path={tmp_path / 't'}", flag, "--student=nowhere")
    _, log = process.communicate(timeout=120)
    assert process.returncode == 2
    assert message in log
    assert "Traceback" not in log
    assert not (tmp_path / "t").exists()


def test_verify_and_show_from_the_command_line(unbroken, tmp_path):
    lost = tmp_path / "none"
    arguments = [("verify", unbroken), ("show", unbroken), ("verify", lost)]
    processes = [call(command, str(path)) for command, path in arguments]
    verified, shown, missing = (
        (*process.communicate(), process.returncode) for process in processes
    )
    count = "60 images, 2400 regions, 6 arrays, features of 1 student(s)"
    assert (verified[0], verified[2]) == (f"OK: {count}\n", 0)
    assert shown[0].strip() == describe(unbroken).strip()
    assert (missing[0], missing[2]) == ("", 2)
    assert "error: there is no finished RIL table" in missing[1]
    assert "Traceback" not in missing[1]

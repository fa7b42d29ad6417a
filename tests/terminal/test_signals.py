"""Signals and the end of parents, on commands in processes of their own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    *("--config=configs/base2new.py:shapes-plain", "--config.methods=coop"),
    *("--config.seeds=1,2", "--config.data.shots=1", "--config.optim.epochs=4000"),
    *("--config.ril.regions=1", "--config.checkpoint_epochs=1"),
)
# A parent that starts a child of its own, and tells its process id.
PARENT = """
import sys, time
from fdbpl_jax.terminal.signals import end_by_signals, start
end_by_signals()
code = "from fdbpl_jax.terminal import signals; signals.end_by_signals(); "
child = start([sys.executable, "-c", code + "print('up'); import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def begin(*command: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def wait_until(reached, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 200
    while not reached():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process_id}/stat")
    if not status.exists():
        return sys.platform == "darwin"
    return status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize(
    "module", ["main", "ril", "data", "methods", "paper", "interop.import_torch"]
)
def test_a_signal_ends_every_command_while_it_still_imports(module):
    process = begin("-X", "importtime", "-m", f"fdbpl_jax.{module}")
    for line in process.stderr:  # until the package, which comes first, is there
        if line.split()[-1] == "fdbpl_jax":
            break
    process.send_signal(signal.SIGINT)
    rest = process.communicate()[1].splitlines()
    said = [line for line in rest if not line.startswith("import time:")]
    assert said == ["stopped by SIGINT: run the same command again to go on"]
    assert process.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_children_end_with_their_parent(number):
    process = begin("-c", PARENT)
    child = int(process.stdout.readline())
    assert process.stdout.readline() == "up\n"
    process.send_signal(number)
    process.wait()  # not for the end of its output, which the child has, too
    deadline = time.monotonic() + 10
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(child)
    _, errors = process.communicate()
    killed = number is signal.SIGKILL
    assert process.returncode == (-9 if killed else 128 + number)
    assert errors.count("\n") == (0 if killed else 1)


def test_an_ignored_signal_stays_ignored():
    code = (
        "import time; from fdbpl_jax.terminal.signals import end_by_signals as e; e(); "
    )
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    process = begin("-c", f"{ignored}{code}print('up'); time.sleep(1); print('done')")
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGHUP)  # as of a terminal that `nohup` outlives
    assert process.communicate()[0] == "done\n"
    assert process.returncode == 0


@pytest.mark.slow
def test_training_is_stopped_in_one_line_and_goes_on(tmp_path):
    folder = tmp_path / "base2new" / "shapes-plain" / "coop"
    command = ("-m", "fdbpl_jax.main", *FLAGS, f"--workdir={tmp_path}")
    process = begin(*command)
    wait_until((folder / "seed1" / "checkpoints" / "2").exists, process)
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate()
    assert process.returncode == 129
    last = errors.splitlines()[-1]
    assert last == "stopped by SIGHUP: run the same command again to go on"
    assert "Traceback" not in errors
    done = len((folder / "seed1" / "metrics.jsonl").read_text().splitlines())
    # Two runs at once: the second cell is the other's, and each step is there once.
    runs = [begin(*command), begin(*command)]
    for seed in (1, 2):
        log = folder / f"seed{seed}" / "metrics.jsonl"
        wait_until(lambda log=log: log.exists() and size(log) > done + 9, runs[0])
    for process in runs:
        process.terminate()
        assert "Traceback" not in process.communicate()[1]
        assert process.returncode == 143
    for seed in (1, 2):
        text = (folder / f"seed{seed}" / "metrics.jsonl").read_text()
        numbers = [line.split(",")[0] for line in text.splitlines(keepends=True)]
        expected = [f'{{"step": {step}' for step in range(len(numbers))]
        assert numbers[:-1] == expected[:-1]


def size(log: Path) -> int:
    return len(log.read_bytes().splitlines())

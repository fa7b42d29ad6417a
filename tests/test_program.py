"""`fdbpl` and its wheel: the program of whoever has no checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fdbpl_jax.cli import COMMANDS
from fdbpl_jax.experiments.settings import find_config

ROOT = Path(__file__).resolve().parents[1]
FDBPL = "from fdbpl_jax.cli import program; program()"


def call(*words: str, folder: Path, path: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", FDBPL, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(path), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("words", [(), ("--help",)])
def test_help_is_one_screen_with_every_command(words, tmp_path):
    done = call(*words, folder=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[1:]] == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, tmp_path):
    done = call(command, "--help", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "flags:" in done.stdout
    assert "Traceback" not in done.stderr


def test_an_unknown_command_is_one_line(tmp_path):
    done = call("predikt", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: unknown command 'predikt'. Did you mean 'predict'? Known: "
    )
    assert done.stderr.count("\n") == 1


def test_a_config_is_found_by_name_and_a_file_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = ROOT / "configs" / "base2new.py"
    for name in ("base2new", "base2new.py", "configs/base2new.py"):
        resolved = find_config(
            ["x", f"--config={name}:dtd,eurosat", "--config.seeds=1"]
        )
        assert resolved == ["x", f"--config={shipped}:dtd,eurosat", "--config.seeds=1"]
    assert find_config(["--config=paper/table2:dtd"]) == [
        f"--config={ROOT / 'configs' / 'paper' / 'table2.py'}:dtd"
    ]
    Path("base2new.py").touch()
    for words in (["--config=base2new.py"], ["--config=mine.py"], ["config=base2new"]):
        assert find_config(words) == words


def test_the_wheel_has_configs_that_run_from_anywhere(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    subprocess.run(
        [*build, "--outdir", tmp_path, ROOT], check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "installed")
        names = file.namelist()
        (entry,) = [name for name in names if name.endswith("entry_points.txt")]
        assert "fdbpl = fdbpl_jax.cli:program" in file.read(entry).decode()
    assert not [name for name in names if name.startswith(("tests", "tools"))]
    empty = tmp_path / "empty"
    empty.mkdir()
    done = call(
        *("run", "--config=few_shot:nothing", "--config.data.root=none"),
        folder=empty,
        path=tmp_path / "installed",
    )
    assert done.returncode == 2
    # It came so far as to look for the data set.
    assert done.stderr.splitlines()[-1].startswith("error: unknown data set 'nothing'")

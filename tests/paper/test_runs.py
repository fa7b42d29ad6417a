"""What each table and figure needs is run, each part once, and failures are said."""

import subprocess
import sys
from pathlib import Path

import pytest

from fdbpl_jax.errors import UserError
from fdbpl_jax.paper.runs import Asked, Run, make, needed, run_flags

CHECKOUT = Path(__file__).parents[2]
EMBEDDED = Asked(Path("w"), "", "", "", "", (), (), ())
ON_DISK = Asked(
    *(Path("w"), "dtd,eurosat", "DATA", "hub/small", "hub/large"),
    *((), (), ("--config.seeds=1,2",)),
)


@pytest.fixture(name="started")
def _started(monkeypatch):
    """Commands that were started in place of programs; those with "fails" fail."""
    monkeypatch.chdir(CHECKOUT)
    commands = []

    def run(command, check):
        assert not check
        assert command[0] == sys.executable
        commands.append(command[2:])
        return subprocess.CompletedProcess(command, "table4.py:ms" in str(command))

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_all_tables_and_figures_of_the_paper_can_be_asked_for():
    names = [f"table{n}" for n in range(1, 7)]
    names += [f"figure{n}" for n in (1, 8, 9, 10, 11, 12)]
    assert list(needed(EMBEDDED)) == names


def test_every_run_has_a_config_that_takes_its_part(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    for asked in (EMBEDDED, ON_DISK):
        for run in {run for own in needed(asked).values() for run in own}:
            config = __import__(f"configs.paper.{run.config}", fromlist=["x"])
            argument = "/".join(filter(None, (run.part, asked.datasets)))
            name = config.get_config(*([argument] if argument else [])).name
            assert name == "/".join(filter(None, ("paper", run.config, run.part)))


def test_flags_of_runs_on_disk():
    assert run_flags(Run("table2"), ON_DISK) == [
        "--config=configs/paper/table2.py:dtd,eurosat",
        "--workdir=w",
        "--config.data.root=DATA",
        "--config.student=hub/small",
        "--config.teacher=hub/large",
        "--config.seeds=1,2",
    ]
    embedded = ["--config=configs/paper/table4.py:ms", "--workdir=w"]
    assert run_flags(Run("table4", "ms"), EMBEDDED) == embedded


def test_table_5_asks_each_teacher():
    small, large = needed(ON_DISK)["table5"]
    assert small.part == "small"
    assert "--config.teacher=hub/small" in run_flags(small, ON_DISK)
    assert "--config.teacher=hub/large" in run_flags(large, ON_DISK)
    assert run_flags(large, ON_DISK)[0].endswith("table5.py:large/dtd,eurosat")


def test_a_run_that_several_need_is_made_once(started):
    assert make(["figure8", "table2", "figure1"], EMBEDDED) == []
    assert started == [
        ["fdbpl_jax.main", "--config=configs/paper/table2.py", "--workdir=w"]
    ]


def test_what_is_shared_is_made_before_memory_is_compared(started):
    make(["figure9"], EMBEDDED)
    assert len(started) == 8
    for first, second in zip(started[::2], started[1::2], strict=True):
        assert first == [*second, "--prepare"]


def test_a_failure_is_said_and_stops_nothing(started):
    assert make(["table4", "table3"], EMBEDDED) == ["table4 ms"]
    assert started[-1][1] == "--config=configs/paper/table3.py"


def test_pictures_are_drawn_of_finished_cells(started, tmp_path):
    asked = EMBEDDED.__class__(**{**vars(EMBEDDED), "workdir": tmp_path})
    assert make(["figure11", "figure12"], asked) == ["figure11", "figure12"]
    cells = []
    for part in ("diff2", "neg"):
        place = "paper/figure10/{}/shapes-negative/coop+fdbpl/seed1"
        cells.append(tmp_path / place.format(part))
        cells[-1].mkdir(parents=True)
        (cells[-1] / "results.jsonl").touch()
    started.clear()
    assert make(["figure11", "figure12"], asked) == []
    attention, cases = started[-2:]
    assert attention[:3] == ["fdbpl_jax.visualize", "attention", f"--cell={cells[0]}"]
    assert f"--other={cells[1]}" in cases
    assert f"--picture={tmp_path}/paper/pictures/figure12.png" in cases


def test_what_cannot_be_made_is_refused(monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"figure 'figure7'\. Did you mean 'figure"):
        make(["figure7"], EMBEDDED)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no folder 'configs/paper' here"):
        make(["table1"], EMBEDDED)

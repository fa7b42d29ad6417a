"""A workdir that is used by two runs, removed, full or only to be read."""

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.protocol_runs import TASKS, rows_of

from fdbpl_jax import files
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments import run
from fdbpl_jax.files import lock

SWEEP = {"sweep.shots": (1, 2)}  # that of the finished run: four cells
RESULTS = "results.jsonl"


@pytest.fixture(name="copy")
def _copy(finished, tmp_path):
    """A finished few-shot run that may be changed."""
    shutil.copytree(finished[0], tmp_path / "runs")
    return tmp_path / "runs"


def cell(workdir, shots, seed):
    return workdir / "few_shot" / TASKS[0] / f"coop,shots={shots}" / f"seed{seed}"


def test_a_cell_that_another_run_trains_comes_last_and_is_read(copy, monkeypatch):
    theirs, ours = cell(copy, 1, 1), cell(copy, 2, 2)
    results = {folder: (folder / RESULTS).read_text() for folder in (theirs, ours)}
    for folder in results:
        (folder / RESULTS).unlink()
    run_cells, order = run.run_cells, []
    with ThreadPoolExecutor(1) as pool:  # the other run, which finishes after our cell
        held = lock(theirs / ".lock")
        assert pool.submit(held.__enter__).result()

        def finishing(config, shared, cells):
            for current in cells:
                order.append(current.directory)
                if current.directory == ours:
                    (ours / RESULTS).write_text(results[ours])
                    (theirs / RESULTS).write_text(results[theirs])
                    pool.submit(held.__exit__, None, None, None).result()
            return run_cells(config, shared, cells)

        monkeypatch.setattr(run, "run_cells", finishing)
        rows = rows_of("few_shot", copy, **SWEEP)
    expected = [cell(copy, 1, 2), cell(copy, 2, 1), ours, theirs]
    assert order == expected
    assert {row.seeds for row in list(rows.values())[3:]} == {2}


def test_a_workdir_removed_while_it_is_used_is_said_of_every_cell(copy, monkeypatch):
    for shots, seed in ((1, 1), (1, 2)):
        (cell(copy, shots, seed) / RESULTS).unlink()

    def removing(config, shared, cells):
        shutil.rmtree(copy)
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "metrics")

    monkeypatch.setattr(run, "run_cells", removing)
    with pytest.raises(UserError) as raised:
        rows_of("few_shot", copy, **SWEEP)
    assert "seed 1: No such file or directory: 'metrics'" in raised.value.what
    gone = f"seed 2: '{cell(copy, 1, 2)}' was removed while this run used it"
    assert gone in raised.value.what
    assert "\n" not in str(raised.value)


@pytest.fixture(name="unwritable")
def _unwritable(monkeypatch):
    """Make writes fail, and say whether the folder allows them."""

    def fail(number: int, allowed: bool) -> None:
        def refuse(*arguments):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(files.os, "replace", refuse)
        access = os.access
        monkeypatch.setattr(
            os, "access", lambda path, mode: access(path, mode & ~os.W_OK or os.R_OK)
            and (allowed or not mode & os.W_OK)
        )  # fmt: skip

    return fail


def test_a_finished_run_that_may_only_be_read_prints_its_table(
    copy, unwritable, capsys, finished
):
    unwritable(errno.EROFS, allowed=False)
    rows = rows_of("few_shot", copy, **SWEEP)
    assert {key: row.base_mean for key, row in rows.items()} == {
        key: row.base_mean for key, row in finished[1].items()
    }
    assert "coop shots=2" in capsys.readouterr().out


def test_on_a_full_disk_the_table_is_printed_and_the_report_missed(
    copy, unwritable, capsys
):
    unwritable(errno.ENOSPC, allowed=True)
    what = r"1 could not be run: the report: cannot write .*: No space left on device"
    with pytest.raises(UserError, match=what):
        rows_of("few_shot", copy, **SWEEP)
    assert "coop shots=2" in capsys.readouterr().out

"""A finished cell is told whole from damaged, lost, exchanged and unsettled."""

import json
import shutil

import jax.numpy as jnp
import pytest

from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments import cell_files
from fdbpl_jax.experiments.identity import claim
from fdbpl_jax.reports.results import CellResult, Rejection
from fdbpl_jax.training.checkpoint import export_prompts

SETTINGS = {"seed": 1, "optim": {"lr": 0.1}, "shots": (1, 2)}
KEPT = ("results.jsonl", "rejection.json", "export/prompts.json")


def results(seed=1):
    rest = (60.0, 50.5, 1.5, 0.25, 10, 64)
    return [CellResult(name, "coop", seed, *rest) for name in ("one", "two")]


def rejection(seed=1):
    return [Rejection("one", "coop", seed, "new classes", "both", 61.5, 90.0)]


def finish(cell, seed=1):
    claim(cell, SETTINGS | {"seed": seed})
    cell_files.write_rejection(cell, rejection(seed))
    prompts = {"positive": {"context": jnp.full((2, 3), float(seed))}}
    export_prompts(cell / "export", prompts, {"seed": seed})
    cell_files.write_results(cell, results(seed))
    return cell


@pytest.fixture(name="cell")
def _cell(tmp_path):
    return finish(tmp_path / "cell")


def is_kept(cell, **changes):
    """Whether the next run takes the results of the cell."""
    claim(cell, SETTINGS | changes)
    return (cell / "results.jsonl").exists()


def flip(file, place):
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


def test_a_whole_cell_is_kept_and_read_back(cell):
    assert is_kept(cell)
    assert cell_files.read_results(cell) == results()
    assert cell_files.read_rejection(cell) == rejection()


@pytest.mark.parametrize("name", KEPT)
def test_a_cell_with_a_flipped_bit_is_run_again(cell, caplog, name):
    content = (cell / name).read_bytes()
    before = (cell / "results.jsonl").read_bytes()
    for place in range(0, len(content), max(1, len(content) // 40)):
        flip(cell / name, place)
        caplog.clear()
        with pytest.raises(UserError):
            cell_files.read_results(cell)
        assert not is_kept(cell), place
        (record,) = caplog.records
        assert "the cell is run again" in record.message
        assert "\n" not in record.message
        (cell / name).write_bytes(content)
        (cell / "results.jsonl").write_bytes(before)
    assert is_kept(cell)


@pytest.mark.parametrize("name", KEPT[1:])
def test_a_cell_that_lost_a_file_is_run_again(cell, name):
    (cell / name).unlink()
    assert not is_kept(cell)


def test_a_cell_with_damaged_prompts_is_run_again(cell):
    largest = max((cell / "export" / "prompts").rglob("d/*"), key=lambda f: f.name)
    flip(largest, -9)
    assert not is_kept(cell)


@pytest.mark.parametrize("name", KEPT)
def test_a_file_of_another_cell_is_not_taken(cell, tmp_path, name):
    other = finish(tmp_path / "other", seed=2)
    shutil.copy(other / name, cell / name)
    assert not is_kept(cell)


@pytest.mark.parametrize("left", [0, 1])
def test_results_that_lost_a_line_are_run_again(cell, left):
    file = cell / "results.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:left]))
    assert not is_kept(cell)


@pytest.mark.parametrize("damage", ["lost", "flipped", "cut", "no JSON", "a list"])
def test_settings_are_mended_where_the_results_are_of_them(cell, caplog, damage):
    file = cell / "config.json"
    content = file.read_bytes()
    contents = {"cut": content[:20], "no JSON": b"\xff{", "a list": b"[1]"}
    if damage == "lost":
        file.unlink()
    elif damage == "flipped":
        flip(file, content.index(b"0.1"))
    else:
        file.write_bytes(contents[damage])
    assert is_kept(cell)
    assert file.read_bytes() == content
    assert ("is damaged" in caplog.text) == (damage != "lost")


@pytest.mark.parametrize("content", [None, b"{"])
def test_results_without_their_settings_are_refused_under_new_ones(cell, content):
    (cell / "config.json").unlink()
    if content:
        (cell / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=r"has results, but not their settings"):
        claim(cell, SETTINGS | {"optim": {"lr": 0.2}})
    assert cell_files._read_lines(cell / "results.jsonl")[0] == results()


def unsealed(cell):
    """The cell as version 0.1.0 wrote it."""
    settings = json.loads((cell / "config.json").read_text())
    del settings["sha256"]
    (cell / "config.json").write_text(json.dumps(settings))
    lines = "".join(result.to_json() for result in results())
    (cell / "results.jsonl").write_text(lines)
    return cell


def test_a_cell_of_version_0_1_0_is_read(cell):
    assert is_kept(unsealed(cell))
    assert cell_files.read_results(cell) == results()
    with pytest.raises(UserError, match=r"optim.lr = 0.1, this run has 0.2"):
        claim(cell, SETTINGS | {"optim": {"lr": 0.2}})
    (cell / "config.json").unlink()
    with pytest.raises(UserError, match=r"has results, but not their settings"):
        claim(cell, SETTINGS)


def test_damage_of_a_cell_of_version_0_1_0_is_a_rerun_where_it_shows(cell):
    unsealed(cell)
    (cell / "rejection.json").write_text("[{]")
    assert not is_kept(cell)


def test_results_without_digests_are_not_taken_under_settings_that_have_one(cell):
    lines = "".join(result.to_json() for result in results())
    (cell / "results.jsonl").write_text(lines)
    assert not is_kept(cell)

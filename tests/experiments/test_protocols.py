"""Protocols beside base-to-new, lost cells, and shares of processes."""

import pytest
from support.protocol_runs import TASKS, rows_of, small
from support.tables import unpadded

from fdbpl_jax.data.types import Dataset
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments import cell
from fdbpl_jax.experiments.processes import Share, run_shares
from fdbpl_jax.experiments.run import run
from fdbpl_jax.experiments.settings import run_config
from fdbpl_jax.experiments.sweep import settings_of


def test_few_shot_trains_and_tests_all_classes_with_each_number_of_shots(finished):
    workdir, few, _ = finished
    methods = [method for _, method in few]
    assert methods[3:] == ["coop shots=1", "coop shots=2"]
    row = few[TASKS[0], "coop shots=2"]
    assert (row.new_mean, row.hm) == (None, None)
    # 32 classes, 2 shots, batches of 16, 2 epochs.
    line = cell_file(workdir, "few_shot", "coop,shots=2").read_text()
    assert '"steps": 8,' in line
    text = (workdir / "few_shot" / "report.md").read_text()
    assert "| dataset | method | accuracy | training time" in unpadded(text)
    assert "HM" not in text


def cell_file(workdir, protocol, method, seed=1):
    return workdir / protocol / TASKS[0] / method / f"seed{seed}" / "results.jsonl"


def test_prompts_of_one_data_set_are_tested_on_the_others(finished):
    workdir, few, cross = finished
    # The same training as in few-shot learning, so the same accuracy at home.
    assert cross[TASKS[0], "coop"].base_mean == few[TASKS[0], "coop shots=2"].base_mean
    away = cross[TASKS[1], "coop"]
    assert away.seeds == 2
    assert away.base_mean != cross[TASKS[0], "coop"].base_mean
    lines = cell_file(workdir, "cross_dataset", "coop").read_text().splitlines()
    assert len(lines) == 2
    zero_shot = rows_of("few_shot", workdir, **{"data.datasets": TASKS[1]})
    here, there = (rows[TASKS[1], "zero-shot"] for rows in (cross, zero_shot))
    assert here.base_mean == there.base_mean
    assert here.base_mean > cross[TASKS[0], "zero-shot"].base_mean


@pytest.mark.slow
def test_an_average_leaves_the_data_set_trained_on_out(tmp_path):
    targets = {"data.targets": "shapes-plain,shapes-both", "seeds": (1,)}
    rows = rows_of("domain_generalization", tmp_path, **targets)
    for method in ("zero-shot", "coop"):
        away = [rows[f"shapes-{name}", method].base_mean for name in ("plain", "both")]
        assert rows["average", method].base_mean == pytest.approx(sum(away) / 2)


def test_a_failed_cell_stops_no_other_and_is_made_up_for(tmp_path, monkeypatch):
    train = cell.train

    def fails_once(setup, runs, *args):
        if "seed1" in str(runs[0].directory):
            raise UserError("the disk is full", "Make room.")
        return train(setup, runs, *args)

    monkeypatch.setattr(cell, "train", fails_once)
    with pytest.raises(UserError, match=r"1 could not .* seed 1: the disk is full"):
        rows_of("few_shot", tmp_path)
    assert cell_file(tmp_path, "few_shot", "coop", 2).exists()
    for name in ("report.md", "report.html"):
        text = (tmp_path / "few_shot" / name).read_text()
        assert "coop seed 1: the disk is full" in text
    trained = []

    def watched(setup, runs, *args):
        trained.extend(run.directory.name for run in runs)
        return train(setup, runs, *args)

    monkeypatch.setattr(cell, "train", watched)
    assert rows_of("few_shot", tmp_path)[TASKS[0], "coop"].seeds == 2
    assert trained == ["seed1"]


def test_several_at_once_fail_one_by_one(tmp_path, monkeypatch):
    train = cell.train

    def fails(setup, runs, *args):
        if any("seed1" in str(run.directory) for run in runs):
            raise UserError("it diverged", "Lower the rate.")
        return train(setup, runs, *args)

    monkeypatch.setattr(cell, "train", fails)
    with pytest.raises(UserError, match="1 could not be run"):
        rows_of("few_shot", tmp_path, **{"sweep.at_once": 2})
    assert cell_file(tmp_path, "few_shot", "coop", 2).exists()


def test_a_mistake_of_ours_is_not_swallowed(tmp_path, monkeypatch):
    monkeypatch.setattr(cell, "train", None)
    with pytest.raises(TypeError):
        rows_of("few_shot", tmp_path)


def test_shares_are_all_cells_and_none_twice(tmp_path, monkeypatch):
    train, trained = cell.train, []

    def watched(setup, runs, *args):
        trained.extend(run.directory for run in runs)
        return train(setup, runs, *args)

    monkeypatch.setattr(cell, "train", watched)
    config = run_config(small("few_shot", seeds=(1, 2, 3)))
    counts = []
    for index in range(2):
        rows = run(config, tmp_path, "", Share(index=index, count=2))
        counts.append(len(trained))
        assert rows[-1].expected == 3
    assert counts == [2, 3]
    assert len(set(trained)) == 3
    assert rows[-1].seeds == 3


def test_processes_end_with_their_status_and_leave_what_they_printed(tmp_path):
    assert run_shares(2, ["--wrkdir=x"], tmp_path / "logs") == [2, 2]
    assert "wrkdir" in (tmp_path / "logs" / "1.log").read_text()


@pytest.mark.parametrize(
    ("protocol", "changes", "match"),
    [
        ("base2newt", {}, "Did you mean 'base2new'"),
        ("base2new", {"data.targets": "shapes-plain"}, "none in base2new"),
        ("cross_dataset", {"data.targets": ""}, "one or more to test on"),
        ("cross_dataset", {"data.targets": TASKS[0]}, "without the trained one"),
        ("cross_dataset", {"data.datasets": ",".join(TASKS)}, "that is trained on"),
        ("cross_dataset", {"prompt.class_specific": True}, "False in cross_dataset"),
        ("few_shot", {"data.datasets": f"{TASKS[0]},{TASKS[0]}"}, "each one once"),
        ("few_shot", {"sweep.shots": (1, 0)}, "sweep.shots"),
    ],
)
def test_protocols_that_make_no_sense_are_refused(protocol, changes, match):
    with pytest.raises(UserError, match=match):
        run_config(small(protocol, **changes))


def test_methods_without_shots_have_one_setting_in_a_sweep_of_shots():
    changes = {"methods": "coop,promptkd", "sweep.shots": (1, 2)}
    config = run_config(small("few_shot", **changes))
    assert [setting.shots for setting in settings_of(config, "coop")] == [1, 2]
    assert len(settings_of(config, "promptkd")) == 1


def test_a_data_set_that_fails_stops_no_other(tmp_path, monkeypatch):
    from fdbpl_jax.experiments import run as runner

    prepare = runner.prepare

    def broken(config, dataset: Dataset, *args):
        if dataset.name == TASKS[0]:
            raise UserError("3 images are broken: a, b, c", "Fetch them again.")
        return prepare(config, dataset, *args)

    monkeypatch.setattr(runner, "prepare", broken)
    with pytest.raises(UserError, match="all cells of shapes-negative: 3 images"):
        rows_of("few_shot", tmp_path, **{"data.datasets": ",".join(TASKS)})
    text = unpadded((tmp_path / "few_shot" / "report.md").read_text())
    assert "shapes-plain | coop" in text
    assert "shapes-negative, coop: 0 of 2 cells finished" in text

"""`--prepare`: what cells share is made, and nothing is trained."""

import dataclasses
import shutil

import pytest
from support.protocol_runs import small

from fdbpl_jax.clip.model import load_clip
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments import assemble
from fdbpl_jax.experiments import run as runner
from fdbpl_jax.experiments.run import prepare_all, refuse_failures, run
from fdbpl_jax.experiments.settings import run_config
from fdbpl_jax.reports.write import read_report
from fdbpl_jax.shapes import embedded


@pytest.fixture(name="config")
def _config():
    changes = {"data.shots": 1, "methods": "coop+fdbpl"}
    return run_config(small("base2new", **changes))


def test_tables_features_and_programs_are_there_and_no_cell(
    tmp_path, config, monkeypatch
):
    steps, called = assemble.run_steps, []

    def counted(setup, *rest):
        called.append(setup)
        return steps(setup, *rest)

    monkeypatch.setattr(assemble, "run_steps", counted)
    prepare_all(config, tmp_path)
    assert len(called) == 1  # two seeds, one program
    assert called[0].schedule.steps_per_epoch == 1
    assert not list(tmp_path.rglob("results.jsonl"))
    assert not (tmp_path / "base2new").exists()
    made = sorted(tmp_path.rglob("manifest.json")) + sorted(
        (tmp_path / "features").glob("*.npz")
    )
    before = {file: file.stat().st_mtime_ns for file in made}
    run(config, tmp_path, "the test")
    assert {file: file.stat().st_mtime_ns for file in made} == before
    _, facts = read_report(tmp_path / "base2new")
    assert not facts.tables["shapes-negative"].built
    # What is finished needs no program.
    called.clear()
    prepare_all(config, tmp_path)
    assert called == []


def test_what_cannot_be_prepared_is_said(tmp_path, config, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(runner, "prepare", full)
    failures = prepare_all(config, tmp_path)
    with pytest.raises(UserError, match=r"1 could not be run: .*negative share: no sp"):
        refuse_failures(failures)
    refuse_failures([])


def test_the_report_says_what_the_models_are_and_the_table_takes(tmp_path, config):
    student = tmp_path / "mine"
    shutil.copytree(embedded("student"), student)
    run(dataclasses.replace(config, student=str(student)), tmp_path, "the test")
    _, facts = read_report(tmp_path / "base2new")
    # A report may be shown to others: not where they lie.
    assert facts.student == f"mine {load_clip(str(student)).fingerprint[:12]}"
    assert facts.teacher.startswith("embedded ")
    table = facts.tables["shapes-negative"]
    (folder,) = (tmp_path / "ril").glob("shapes-negative-*")
    files = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    assert table.disk_bytes == files
    assert table.built
    assert table.keep == 16
    assert table.regions % 2 == 0  # two regions an image: one an epoch
    assert 0 < table.read_seconds < 5

"""The whole program on the embedded world, with settings small enough for a test."""

import csv
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from support.tables import unpadded

from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments import run as protocol
from fdbpl_jax.experiments.cell import run_cells
from fdbpl_jax.experiments.cells import load_inputs
from fdbpl_jax.experiments.settings import default_config, run_config
from fdbpl_jax.experiments.shared_inputs import dataset_of, prepare
from fdbpl_jax.reports.write import read_report
from fdbpl_jax.training.checkpoint import load_prompts

METHODS = ("coop", "coop+kdpl", "coop+fdbpl", "coop+fdbpl_release")


def small(**changes) -> ConfigDict:
    config = default_config()
    config.update_from_flattened_dict(
        {
            "data.shots": 2,
            "methods": ",".join(METHODS),
            "seeds": (1, 2),
            "optim.epochs": 2,
            "optim.batch_size": 16,
            "optim.warmup_epochs": 0,
            "optim.lr": 0.01,
            "checkpoint_epochs": 1,
            **changes,
        }
    )
    return config


def run(workdir: Path, **changes):
    return protocol.run(run_config(small(**changes)), workdir, "the test")


@pytest.fixture(scope="module", name="finished")
def _finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("base2new")
    return workdir, run(workdir)


def test_one_run_ends_with_a_row_for_each_method_and_its_files(finished):
    workdir, rows = finished
    expected = ["zero-shot", "zero-shot (data-set template)", "teacher", *METHODS]
    assert [row.method for row in rows] == expected
    assert [row.seeds for row in rows[-4:]] == [2] * 4
    folder = workdir / "base2new"
    with (folder / "report.csv").open() as file:
        assert [line["method"] for line in csv.DictReader(file)] == expected
    for name in ("report.md", "report.html"):
        text = (folder / name).read_text()
        assert all(method in text for method in METHODS)
    for method in METHODS:
        cell = folder / "shapes-negative" / method / "seed2"
        assert {"config.json", "metrics.jsonl", "checkpoints", "results.jsonl"} <= {
            path.name for path in cell.iterdir()
        }


def test_exported_prompts_hold_what_is_needed_elsewhere(finished):
    workdir, _ = finished
    cell = workdir / "base2new" / "shapes-negative" / "coop+fdbpl" / "seed1"
    prompts, facts = load_prompts(cell / "export")
    assert sorted(prompts) == ["negative", "positive"]
    assert not np.array_equal(*(prompts[b]["context"] for b in prompts))
    assert len(facts["class_names"]) == 16
    assert len(facts["student"]["sha256"]) == 64
    assert facts["config"]["method"] == "coop+fdbpl"


def test_metrics_have_a_line_a_step_with_every_term(finished):
    workdir, _ = finished
    folder = workdir / "base2new" / "shapes-negative"
    lines = (folder / "coop+fdbpl" / "seed1" / "metrics.jsonl").read_text()
    steps = [json.loads(line) for line in lines.splitlines()]
    assert [step["step"] for step in steps] == list(range(4))
    names = {"loss", "pos", "neg", "diff1", "diff2", "w_mean", "w_std", "lr", "epoch"}
    assert names | {"examples_per_second"} <= steps[0].keys()


def test_a_second_run_reads_what_is_finished(finished, monkeypatch):
    workdir, rows = finished

    def never(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr("fdbpl_jax.experiments.cell.train", never)
    again = run(workdir)
    table = read_report(workdir / "base2new")[1].tables["shapes-negative"]
    assert (table.built, table.seconds > 0) == (False, True)
    for old, new in zip(rows, again, strict=True):
        assert (old.method, old.base_mean, old.new_mean) == (
            new.method,
            new.base_mean,
            new.new_mean,
        )


def test_a_lost_result_is_made_again_from_the_checkpoint(finished, tmp_path):
    workdir, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(workdir, copy)
    for method in METHODS:
        folder = copy / "base2new" / "shapes-negative" / method / "seed1"
        before = load_prompts(folder / "export")[0]
        (folder / "results.jsonl").unlink()
        shutil.rmtree(folder / "export")
        # One epoch is trained again, after the newest checkpoint is lost or damaged.
        if method == "coop":
            shutil.rmtree(folder / "checkpoints" / "2")
        else:
            (folder / "checkpoints" / "2" / "checkpoint.json").write_text("{")
        run(copy)
        after = load_prompts(folder / "export")[0]
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-7), before, after
        )


def test_a_cell_of_other_settings_is_refused(finished):
    workdir, _ = finished
    with pytest.raises(UserError, match=r"optim.lr = 0.01, this run has 0.02"):
        run(workdir, **{"optim.lr": 0.02})


def test_class_specific_context_serves_no_new_classes(tmp_path):
    changes = {"methods": "coop", "seeds": (1,), "prompt.class_specific": True}
    rows = run(tmp_path, **changes)
    assert rows[-1].base_mean is not None
    assert rows[-1].new_mean is None


def test_seeds_differ_and_a_cell_is_the_same_every_time(finished, tmp_path):
    workdir, _ = finished
    config = run_config(small(methods="coop+fdbpl"))
    dataset = dataset_of(config, "shapes-negative", workdir)
    shared = prepare(config, dataset, (), load_inputs(config), workdir)
    prompts = []
    for number, seed in enumerate((1, 1, 2)):
        directory = tmp_path / str(number)
        (planned,) = (cell for cell in shared.cells if cell.seed == seed)
        run_cells(config, shared, [planned._replace(directory=directory)])
        prompts.append(load_prompts(directory / "export")[0]["positive"]["context"])
    np.testing.assert_array_equal(prompts[0], prompts[1])
    assert np.abs(prompts[0] - prompts[2]).max() > 1e-5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.datasets": "caltech101"}, "needs --config.data.root"),
        ({"data.datasets": "dtd", "data.root": "no/such"}, "no/such"),
        ({"data.datasets": "shapes-negativ"}, r"embedded ones .*shapes-negative"),
        ({"ril.keep": 17}, "17"),
        ({"student": "no/such/dir/at/all"}, "no/such/dir/at/all"),
        ({"optim.lr": 1e30}, r"lr is 1e\+30"),
        ({"ril.path": "no/such/table", "methods": "coop+fdbp"}, "coop.fdbpl"),
    ],
)
def test_bad_input_is_refused_in_words(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        run(tmp_path, **changes)


def test_a_table_of_other_data_is_refused(finished, tmp_path):
    workdir, _ = finished
    (table,) = (workdir / "ril").glob("shapes-negative-*")
    changes = {"ril.path": str(table), "data.datasets": "shapes-plain"}
    with pytest.raises(UserError, match="shapes-plain"):
        run(tmp_path, **changes)
    assert not (tmp_path / "base2new").exists()


def test_real_images_and_a_real_pair(shared_dir, tmp_path):
    pair = shared_dir / "models"
    if not pair.is_dir():
        pytest.skip("no CLIP pair in the folder of real data")
    changes = {
        "data.datasets": "eurosat",
        "data.root": str(shared_dir / "data"),
        "student": str(pair / "tiny-clip-student"),
        "teacher": str(pair / "tiny-clip-teacher"),
        "methods": "coop+kdpl,coop+fdbpl",
        "seeds": (1,),
        "optim.batch_size": 6,
    }
    rows = run(tmp_path, **changes)
    zero_shot = rows[0]
    # What the pair's own description says of it.
    assert zero_shot.base_mean == pytest.approx(96.3, abs=0.1)
    assert zero_shot.new_mean == pytest.approx(98.0, abs=0.1)
    assert all(row.base_mean > 60 for row in rows)


@pytest.mark.slow
def test_a_sweep_has_a_row_for_each_setting_whether_at_once_or_not(tmp_path):
    sweep = {
        "methods": "coop,coop+fdbpl",
        "sweep.lr": (0.01, 0.05),
        "sweep.lambda_neg": (0.5, 1.0),
    }
    names = [
        *(f"coop lr={lr}" for lr in ("0.01", "0.05")),
        *(
            f"coop+fdbpl lr={lr} lambda_neg={neg}"
            for lr in ("0.01", "0.05")
            for neg in ("0.5", "1")
        ),
    ]
    alone = run(tmp_path / "alone", **sweep)
    at_once = run(tmp_path / "at once", **sweep, **{"sweep.at_once": 3})
    assert [row.method for row in alone[3:]] == names
    assert [row.method for row in at_once[3:]] == names
    name = "base2new/shapes-negative/coop+fdbpl,lr=0.05,lambda_neg=0.5/seed2/export"
    one, facts = load_prompts(tmp_path / "alone" / name)
    other, _ = load_prompts(tmp_path / "at once" / name)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), one, other
    )
    assert facts["config"]["optim"]["lr"] == 0.05
    assert facts["config"]["fdbpl"]["lambda_neg"] == 0.5


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("sweep.at_once", 0, "sweep.at_once is 0"),
        ("sweep.lr", (0.1, -1.0), r"sweep.lr.1 is -1.0"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(name, value, message):
    with pytest.raises(UserError, match=message):
        run_config(small(**{name: value}))


def test_what_the_negative_prompt_rejects_is_measured_where_there_is_one(finished):
    workdir, _ = finished
    folder = workdir / "base2new" / "shapes-negative"
    found = json.loads((folder / "coop+fdbpl" / "seed1" / "rejection.json").read_text())
    assert len(found) == 2 * 4
    by_key = {(one["against"], one["score"]): one for one in found}
    # Regions that the teacher cannot tell are told from whole images.
    assert by_key["regions without information", "both"]["auroc"] > 75
    assert all(0 <= one["fpr"] <= 100 for one in found)
    assert not (folder / "coop" / "seed1" / "rejection.json").exists()
    text = (workdir / "base2new" / "report.md").read_text()
    assert unpadded(text).count("| images of new classes | both |") == 2
    assert "Rejection</h2>" in (workdir / "base2new" / "report.html").read_text()


def test_the_poorest_regions_are_those_of_the_lowest_weight(finished):
    from fdbpl_jax.evaluation.rejection import _poorest
    from fdbpl_jax.ril.table import open_table

    workdir, _ = finished
    (path,) = (workdir / "ril").glob("shapes-negative-*")
    config = run_config(small())
    student = load_inputs(config).models.student
    table = open_table(path, student.fingerprint)
    images, regions = len(table.spec.images), table.spec.regions
    names = ["entropy", f"feature/{student.fingerprint}"]
    found = table.read(names, np.arange(images), np.arange(regions))
    entropy = found["entropy"].ravel()
    features = found[names[1]].reshape(len(entropy), -1)
    poorest = _poorest(table)
    assert len(poorest) == len(entropy) // 10
    highest = np.argsort(-entropy)[: len(poorest)]
    np.testing.assert_allclose(np.sort(poorest[:, 0]), np.sort(features[highest, 0]))

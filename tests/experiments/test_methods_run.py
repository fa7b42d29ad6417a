"""Methods of all kinds through the whole program, on the embedded world."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from fdbpl_jax.clip.model import logit_scale, text_features
from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.splits import subset
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.features import split_features
from fdbpl_jax.experiments import run as protocol
from fdbpl_jax.experiments.cells import load_inputs, plan_cells
from fdbpl_jax.experiments.settings import default_config, run_config
from fdbpl_jax.experiments.shared_inputs import dataset_of
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.shapes.world import COLOURS, SHAPES, TEXTURES
from fdbpl_jax.training.checkpoint import load_prompts

# Every learner, every loss and every term, and every kind of data; others are run by
# the slow tests of `classifier`.
RUN = (
    *("cocoop+fdbpl", "vpt+kdpl-ca", "maple+fdbpl_release", "promptsrc+fdbpl"),
    *("maple", "kgcoop", "prograd+kdpl", "upl", "promptkd", "coop+kdpl-ca"),
)


def config(folder: Path, **changes) -> RunConfig:
    made = default_config()
    names = folder / "names.txt"
    names.write_text("\n".join(f"{c} {t} {s}" for c, t, s in _looks()))
    made.update_from_flattened_dict(
        {
            "data.shots": 2,
            "methods": ",".join(RUN),
            "seeds": (1,),
            "optim.epochs": 2,
            "optim.batch_size": 16,
            "optim.warmup_epochs": 0,
            "names.file": str(names),
            "names.keep": 30,
            "terms.promptsrc_mean": 2.0,
            "checkpoint_epochs": 1,
            **changes,
        }
    )
    return run_config(made)


def _looks():
    return [(c, t, s) for c in COLOURS for t in TEXTURES for s in SHAPES]


@pytest.fixture(scope="module", name="finished")
def _finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("methods")
    return workdir, protocol.run(config(workdir), workdir, "the test")


def cell(workdir, method):
    return workdir / "base2new" / "shapes-negative" / method / "seed1"


def test_every_method_ends_with_a_row(finished):
    workdir, rows = finished
    assert [row.method for row in rows[3:]] == list(RUN)
    for row in rows[3:]:
        assert row.seeds == 1
        assert row.new_mean is not None
        assert row.trained_values > 0
        assert 0 <= row.wait_seconds <= row.train_seconds
    for method in RUN:
        prompts, facts = load_prompts(cell(workdir, method) / "export")
        assert ("negative" in prompts) == METHODS[method].loss.negative
        assert facts["config"]["method"] == method


def test_losses_have_the_terms_of_their_method(finished):
    workdir, _ = finished

    def terms(method):
        lines = (cell(workdir, method) / "metrics.jsonl").read_text().splitlines()
        return json.loads(lines[-1]).keys()

    assert {"promptsrc_text", "promptsrc_image", "pos", "diff2"} <= terms(
        "promptsrc+fdbpl"
    )
    assert {"kgcoop", "cross_entropy"} <= terms("kgcoop")
    assert {"zero_shot_distance", "kl_reverse"} <= terms("prograd+kdpl")
    assert "w_mean" not in terms("maple")


@pytest.mark.parametrize(
    "method", ["promptsrc+fdbpl", "promptkd", "maple+fdbpl_release"]
)
def test_a_lost_result_is_made_again_from_the_checkpoint(finished, tmp_path, method):
    """With the average over epochs, the running statistics, the reader's place."""
    workdir, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(workdir, copy)
    folder = cell(copy, method)
    before = load_prompts(folder / "export")[0]
    (folder / "results.jsonl").unlink()
    shutil.rmtree(folder / "export")
    shutil.rmtree(folder / "checkpoints" / "2")  # one epoch is trained again
    protocol.run(config(workdir), copy, "the test", protocol.Share((method,)))
    after = load_prompts(folder / "export")[0]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), before, after
    )


def test_promptkd_exports_what_it_is_tested_by(finished):
    workdir, _ = finished
    found = load_prompts(cell(workdir, "promptkd") / "export")[0]["running"]
    assert found["variance"].min() > 0
    assert np.abs(found["mean"]).max() > 0


def test_a_cell_of_other_names_is_refused(finished, tmp_path):
    workdir, _ = finished
    other = config(tmp_path, **{"methods": "coop+kdpl-ca", "names.keep": 20})
    with pytest.raises(UserError, match=r"names.keep = 30, this run has 20"):
        protocol.run(other, workdir, "the test")


def test_only_what_is_asked_for_is_trained(tmp_path):
    changes = {"methods": "kgcoop,maple"}
    rows = protocol.run(
        config(tmp_path, **changes), tmp_path, "", protocol.Share(("kgcoop",))
    )
    assert [row.seeds for row in rows[3:]] == [1, 0]
    assert not cell(tmp_path, "maple").exists()
    rows = protocol.run(
        config(tmp_path, **changes), tmp_path, "", protocol.Share(("maple",))
    )
    assert [row.seeds for row in rows[3:]] == [1, 1]
    with pytest.raises(UserError, match="'mapel'"):
        protocol.run(
            config(tmp_path, **changes), tmp_path, "", protocol.Share(("mapel",))
        )


def test_upl_takes_the_images_that_the_student_is_surest_of(finished):
    workdir, _ = finished
    run = config(workdir, **{"methods": "upl", "data.shots": 3})
    inputs = load_inputs(run)
    student, dataset = (
        inputs.models.student,
        dataset_of(run, "shapes-negative", workdir),
    )
    base = subset(dataset, "base")
    cache = workdir / "features"
    (planned,) = plan_cells(run, dataset, inputs, workdir)
    chosen = planned.dataset
    assert len(chosen.train) == 3 * len(base.class_names)
    features = split_features(student, base, base.train, cache)
    text = np.asarray(
        text_features(student, [base.template.format(n) for n in base.class_names])
    )
    score = np.exp(logit_scale(student) * features @ text.T)
    score /= score.sum(1, keepdims=True)
    row = {example.path: i for i, example in enumerate(base.train)}
    for label in range(len(base.class_names)):
        own = [e.path for e in chosen.train if e.label == label]
        taken = sorted((score[row[path], label] for path in own), reverse=True)
        np.testing.assert_allclose(taken, np.sort(score[:, label])[::-1][:3], rtol=1e-6)


def test_promptkd_sees_all_images_and_the_inductive_one_base_classes(finished):
    workdir, _ = finished
    run = config(workdir, methods="promptkd,promptkd-inductive")
    dataset = dataset_of(run, "shapes-negative", workdir)
    base = subset(dataset, "base")
    planned = plan_cells(run, dataset, load_inputs(run), workdir)
    for cell_of, expected in zip(planned, (dataset, base), strict=True):
        assert cell_of.dataset.class_names == expected.class_names
        assert cell_of.dataset.train == expected.train

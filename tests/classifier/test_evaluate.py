"""Exports tested again: a cell's own accuracies, and an imported context's."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.evaluate import evaluate
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.data.open_dataset import open_dataset
from fdbpl_jax.data.splits import subset
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.run import run
from fdbpl_jax.experiments.settings import default_config, run_config
from fdbpl_jax.shapes import embedded
from fdbpl_jax.training.checkpoint import export_prompts, load_prompts

METHODS = "coop", "maple", "promptkd-inductive"


@pytest.fixture(scope="module", name="workdir")
def _workdir(tmp_path_factory):
    """Cells of learners of a text, of both towers, and in the teacher's space."""
    workdir = tmp_path_factory.mktemp("runs")
    config = default_config()
    config.methods, config.seeds = ",".join(METHODS), (1,)
    config.data.shots, config.optim.epochs, config.optim.batch_size = 1, 1, 32
    config.ril.regions = 1
    run(run_config(config), workdir, "")
    return workdir


def halves(workdir):
    dataset = open_dataset("shapes-negative", "", workdir / "shapes", "")
    return [subset(dataset, which) for which in ("base", "new")]


@pytest.mark.parametrize("method", METHODS)
def test_an_export_has_the_accuracies_of_its_cell(workdir, method):
    cell = workdir / "base2new" / "shapes-negative" / method / "seed1"
    result = json.loads((cell / "results.jsonl").read_text())
    export = Classifier.load(cell / "export")
    found = [evaluate(export, part, workdir) for part in halves(workdir)]
    assert found == [result["base"], result["new"]]


def test_the_command_prints_the_accuracy(workdir):
    cell = workdir / "base2new" / "shapes-negative" / "coop" / "seed1"
    result = json.loads((cell / "results.jsonl").read_text())
    command = [sys.executable, "-m", "fdbpl_jax.classifier.evaluate"]
    flags = [f"--export={cell / 'export'}", "--dataset=shapes-negative"]
    flags += [f"--data_root={workdir / 'shapes'}", f"--workdir={workdir}"]
    done = subprocess.run(
        [*command, *flags, "--classes=new"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f": {result['new']:.2f} % of 960 test images" in done.stdout


def imported(workdir, folder, **changes):
    """The export of an imported context, as `import_torch` writes it."""
    cell = workdir / "base2new" / "shapes-negative" / "coop" / "seed1"
    prompts, facts = load_prompts(cell / "export")
    prompt = PromptConfig(init="", **changes)
    config = {"method": "coop", "imported": "x", "prompt": dataclasses.asdict(prompt)}
    facts = {key: facts[key] for key in ("class_names", "student")}
    context = prompts["positive"]["context"]
    if prompt.class_specific:
        context = np.tile(context, (len(facts["class_names"]), 1, 1))
    export_prompts(
        folder, {"positive": {"context": context}}, {**facts, "config": config}
    )
    return Classifier.load(folder)


def test_an_imported_context_is_tested_as_ours(workdir, tmp_path):
    base, _ = halves(workdir)
    ours = Classifier.load(workdir / "base2new/shapes-negative/coop/seed1/export")
    export = imported(workdir, tmp_path)
    assert evaluate(export, base, workdir) == evaluate(ours, base, workdir)


def test_an_import_of_an_earlier_version_has_no_words_of_its_own(workdir, tmp_path):
    """Its settings lack `init`; the default words are more than its two tokens."""
    imported(workdir, tmp_path)
    prompts, facts = load_prompts(tmp_path)
    facts["config"]["prompt"] = {
        "context_length": 2,
        "position": "end",
        "class_specific": False,
    }
    prompts["positive"]["context"] = prompts["positive"]["context"][:2]
    del facts["shapes"], facts["format"]
    export_prompts(tmp_path, prompts, facts)
    assert Classifier.load(tmp_path).prompt.init == ""


def test_contexts_of_single_classes_are_for_those_alone(workdir, tmp_path):
    base, new = halves(workdir)
    export = imported(workdir, tmp_path, class_specific=True)
    ours = imported(workdir, tmp_path / "common")
    assert evaluate(export, base, workdir) == evaluate(ours, base, workdir)
    with pytest.raises(UserError, match="16 single classes, which"):
        evaluate(export, new, workdir)


@pytest.mark.parametrize("method", METHODS)
def test_a_data_set_without_test_images_is_refused(workdir, method):
    export = Classifier.load(
        workdir / f"base2new/shapes-negative/{method}/seed1/export"
    )
    empty = dataclasses.replace(halves(workdir)[0], test=())
    with pytest.raises(UserError, match="'shapes-negative' has no test image"):
        evaluate(export, empty, workdir)


def test_another_student_is_refused(workdir):
    export = workdir / "base2new/shapes-negative/coop/seed1/export"
    with pytest.raises(UserError, match="another student than the export's"):
        Classifier.load(export, str(embedded("teacher")))

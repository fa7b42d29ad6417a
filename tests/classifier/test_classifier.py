"""A classifier says of an image what the run that learned it said."""

import numpy as np
import pytest
from support.protocol_runs import small

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.data.splits import subset
from fdbpl_jax.experiments.run import run
from fdbpl_jax.experiments.settings import run_config
from fdbpl_jax.shapes.dataset import load_shapes

METHODS = ("coop+fdbpl", "cocoop", "vpt", "maple", "promptsrc", "promptkd")


@pytest.fixture(scope="module", name="workdir")
def _workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("classifier")
    changes = {"methods": ",".join(METHODS), "data.shots": 1, "seeds": (1,)}
    run(run_config(small("base2new", **changes)), workdir, "the test")
    return workdir


def export(workdir, method):
    cell = workdir / "base2new" / "shapes-negative" / method / "seed1"
    return cell / "export"


@pytest.mark.parametrize("method", METHODS)
def test_accuracy_on_the_runs_images_is_the_runs(workdir, method):
    import json

    (line,) = (
        (export(workdir, method).parent / "results.jsonl").read_text().split("\n")[:-1]
    )
    result = json.loads(line)
    dataset = load_shapes("shapes-negative", workdir / "shapes")
    classifier = Classifier.load(export(workdir, method))
    for half in ("base", "new"):
        part = subset(dataset, half)
        paths = [part.root / example.path for example in part.test]
        said = classifier.predict(paths, top=1, classes=part.class_names)
        right = [
            prediction.labels == (part.class_names[example.label],)
            for prediction, example in zip(said, part.test, strict=True)
        ]
        assert 100.0 * float(np.mean(right)) == result[half]

"""The service of a classifier folder of prompts that were never trained."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient
from support.exports import make_export
from support.serving import BATCH, LIMITS

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.classifier.folder import write_classifier
from fdbpl_jax.classifier.made import Made
from fdbpl_jax.clip.model import load_clip
from fdbpl_jax.serve.app import create_app
from fdbpl_jax.serve.predictor import Predictor
from fdbpl_jax.serve.regions import Regions
from fdbpl_jax.shapes import embedded


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("serve")
    scores = [n / 100 for n in range(200)]  # of which 95 % are above 0.10
    made = Made("four classes", rejection=scores)
    write_classifier(place / "mine", make_export(place / "export"), made)
    return place / "mine"


@pytest.fixture(scope="session")
def classifier(folder) -> Classifier:
    return Classifier.load(folder)


@pytest.fixture(scope="session")
def predictor(classifier) -> Predictor:
    return Predictor(classifier, BATCH)


@pytest.fixture(scope="session")
def teacher():
    return load_clip(str(embedded("teacher")))


@pytest.fixture(scope="session")
def regions(teacher) -> Regions:
    return Regions(teacher, "a photo of a {}.", 6)


@pytest.fixture(scope="session")
def client(predictor, regions):
    with TestClient(create_app(predictor, regions, LIMITS)) as client:
        yield client

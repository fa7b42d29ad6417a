"""The service of a classifier of random contexts."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient
from support.serving import BATCH, LIMITS, export

from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.clip.model import load_clip
from fdbpl_jax.serve.app import create_app
from fdbpl_jax.serve.predictor import Predictor
from fdbpl_jax.serve.regions import Regions
from fdbpl_jax.shapes import embedded


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return export(tmp_path_factory.mktemp("serve") / "mine")


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

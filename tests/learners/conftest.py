"""The embedded student, which the tests of every learner start from."""

import pytest

from fdbpl_jax.clip.model import load_clip
from fdbpl_jax.shapes import embedded


@pytest.fixture(scope="session", name="clip")
def _clip():
    return load_clip(str(embedded("student")))

"""The case that every loss is tested on."""

import pytest
from support.losses_case import make_case


@pytest.fixture(name="case")
def _case():
    return make_case()

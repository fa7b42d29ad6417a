from types import SimpleNamespace

import jax
import pytest

from fdbpl_jax import device
from fdbpl_jax.errors import UserError


@pytest.mark.parametrize(
    ("backend", "capability", "dtype"),
    [
        ("cpu", None, "float32"),
        ("tpu", None, "bfloat16"),
        ("gpu", "7.5", "float32"),  # Turing
        ("gpu", "8.0", "bfloat16"),
        ("gpu", "12.0", "bfloat16"),
        ("gpu", "gfx90a", "float32"),  # AMD's
    ],
)
def test_towers_run_in_bfloat16_where_the_device_has_it(
    monkeypatch, backend, capability, dtype
):
    devices = [SimpleNamespace(compute_capability=capability)]
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(jax, "devices", lambda: devices)
    assert device.tower_dtype("") == dtype
    assert device.tower_dtype("float32") == "float32"
    assert device.tower_dtype("bfloat16") == "bfloat16"


def test_another_platform_than_asked_is_refused():
    device.require("")
    device.require("cpu")
    with pytest.raises(UserError, match=r"'gpu' and JAX computes on 'cpu'.*cuda12"):
        device.require("gpu")


def test_one_of_several_processes_is_refused(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(UserError, match=r"one of 2 processes.*--shard"):
        device.require("")

import jax
import pytest

from fdbpl_jax import device
from fdbpl_jax.errors import UserError


def test_towers_run_in_float32_on_a_cpu_and_in_bfloat16_elsewhere(monkeypatch):
    assert device.tower_dtype("") == "float32"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert device.tower_dtype("") == "bfloat16"
    assert device.tower_dtype("float32") == "float32"


def test_another_platform_than_asked_is_refused():
    device.require("")
    device.require("cpu")
    with pytest.raises(UserError, match=r"'gpu' and JAX computes on 'cpu'.*cuda12"):
        device.require("gpu")


def test_one_of_several_processes_is_refused(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(UserError, match=r"one of 2 processes.*--shard"):
        device.require("")

"""The settings that a sweep goes through: every combination of the values to try."""

import dataclasses
import itertools
from typing import NamedTuple

from fdbpl_jax.config import FdbplConfig, OptimConfig, RunConfig
from fdbpl_jax.methods.method import METHODS


class Setting(NamedTuple):
    """One of the combinations; its name is empty where nothing is swept."""

    name: str
    optim: OptimConfig
    fdbpl: FdbplConfig
    shots: int


def settings_of(run: RunConfig, method: str) -> tuple[Setting, ...]:
    """What a sweep goes through with one of `run.methods`, or its one setting.

    Loss weights are tried with the method whose loss has them, shots with those that
    train on so many images; the last named value changes fastest.
    """
    optim, tried = run.optim_of(method), dataclasses.asdict(run.sweep)
    del tried["at_once"]
    meant = {"lr": True, "shots": METHODS[method].labels != "none"}
    weighted = METHODS[method].loss == "fdbpl"
    names = [name for name in tried if tried[name] and meant.get(name, weighted)]
    return tuple(
        _setting(run, optim, dict(zip(names, values, strict=True)))
        for values in itertools.product(*(tried[name] for name in names))
    )


def _setting(
    run: RunConfig, optim: OptimConfig, own: dict[str, float | int]
) -> Setting:
    name = " ".join(f"{key}={value:g}" for key, value in own.items())
    weights = {k: value for k, value in own.items() if k not in ("lr", "shots")}
    return Setting(
        name,
        dataclasses.replace(optim, lr=own.get("lr", optim.lr)),
        dataclasses.replace(run.fdbpl, **weights),
        int(own.get("shots", run.data.shots)),
    )

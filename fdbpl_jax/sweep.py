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


def settings_of(run: RunConfig, method: str) -> tuple[Setting, ...]:
    """What a sweep goes through with one of `run.methods`, or its one setting.

    Loss weights are tried with the method whose loss has them; the last named value
    changes fastest.
    """
    optim, tried = run.optim_of(method), dataclasses.asdict(run.sweep)
    del tried["at_once"]
    weighted = METHODS[method].loss == "fdbpl"
    names = [name for name in tried if tried[name] and (name == "lr" or weighted)]
    return tuple(
        _setting(optim, run.fdbpl, dict(zip(names, values, strict=True)))
        for values in itertools.product(*(tried[name] for name in names))
    )


def _setting(optim: OptimConfig, fdbpl: FdbplConfig, own: dict[str, float]) -> Setting:
    name = " ".join(f"{key}={value:g}" for key, value in own.items())
    weights = {key: value for key, value in own.items() if key != "lr"}
    return Setting(
        name,
        dataclasses.replace(optim, lr=own.get("lr", optim.lr)),
        dataclasses.replace(fdbpl, **weights),
    )

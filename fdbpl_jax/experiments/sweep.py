"""The settings that a sweep goes through: every combination of the values to try."""

import dataclasses
import itertools
from typing import Any, NamedTuple

from fdbpl_jax.config import FdbplConfig, OptimConfig, RunConfig
from fdbpl_jax.methods.table import METHODS, Images


class Setting(NamedTuple):
    """One of the combinations; its name is empty where nothing is swept."""

    name: str
    optim: OptimConfig
    fdbpl: FdbplConfig
    shots: int


def settings_of(config: RunConfig, method: str) -> tuple[Setting, ...]:
    """What a sweep goes through with one of `config.methods`, or its one setting.

    Loss weights are tried with the method whose loss has them, shots with those that
    train on so many images; the last named value changes fastest.
    """
    optim, tried = config.optim_of(method), dataclasses.asdict(config.sweep)
    del tried["at_once"]
    draws = METHODS[method].images is not Images.UNLABELLED
    meant = {"lr": True, "shots": draws}
    weighted = METHODS[method].loss.fdbpl_weights
    names = [name for name in tried if tried[name] and meant.get(name, weighted)]
    return tuple(
        _setting(config, optim, dict(zip(names, values, strict=True)))
        for values in itertools.product(*(tried[name] for name in names))
    )


def _setting(
    config: RunConfig, optim: OptimConfig, own: dict[str, float | int]
) -> Setting:
    name = " ".join(f"{key}={value:g}" for key, value in own.items())
    weights: dict[str, Any] = {
        k: value for k, value in own.items() if k not in ("lr", "shots")
    }
    return Setting(
        name,
        dataclasses.replace(optim, lr=own.get("lr", optim.lr)),
        dataclasses.replace(config.fdbpl, **weights),
        int(own.get("shots", config.data.shots)),
    )

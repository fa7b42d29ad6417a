"""The settings of a sweep: every combination of the values to try."""

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
    """The settings that a sweep tries with a method; without a sweep the only one.

    Loss weights are varied where the loss has them, shots where images are drawn; the
    last named value changes fastest.
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
    config: RunConfig, optim: OptimConfig, values: dict[str, float | int]
) -> Setting:
    name = " ".join(f"{key}={value:g}" for key, value in values.items())
    weights: dict[str, Any] = {
        k: value for k, value in values.items() if k not in ("lr", "shots")
    }
    return Setting(
        name,
        dataclasses.replace(optim, lr=values.get("lr", optim.lr)),
        dataclasses.replace(config.fdbpl, **weights),
        int(values.get("shots", config.data.shots)),
    )

"""ConfigDict in, checked and frozen dataclasses out.

Config files build on `default_config()`, the command line overrides any value, and
`run_config` turns the result into a `RunConfig`; nothing past that point sees a
ConfigDict, so every setting has one type, one meaning and one check.
"""

import dataclasses
import os
import re
import reprlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from ml_collections import config_dict

import fdbpl_jax
from fdbpl_jax.config import (
    DataConfig,
    FdbplConfig,
    NamesConfig,
    OptimConfig,
    PromptConfig,
    RilConfig,
    RunConfig,
    SweepConfig,
    TermConfig,
)
from fdbpl_jax.errors import UserError, unknown_name
from fdbpl_jax.experiments.checks import check_config
from fdbpl_jax.methods.table import METHODS, method_named

# Settings that are paths, by their part of the config.
_PATHS = (
    *(("", "student"), ("", "teacher")),
    *(("data", "root"), ("ril", "path"), ("names", "file")),
)


def config_folder() -> Path:
    """The configs that come with the program: of the checkout, or of the wheel."""
    package = Path(fdbpl_jax.__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def find_config(words: Sequence[str]) -> list[str]:
    """A command line whose `--config` is a file: its own, or `config_folder`'s.

    `--config=base2new:dtd` is `configs/base2new.py:dtd`. Configs may import others, as
    `from configs import base2new`, wherever the command is called.
    """
    resolved, folder = list(words), config_folder()
    for n, word in enumerate(words):
        flag, _, value = word.partition("=")
        if flag.lstrip("-") != "config" or not word.startswith("-"):
            continue
        name, sign, argument = value.partition(":")
        if name and not Path(name).exists():
            file = f"{name.removesuffix('.py')}.py"
            for shipped in (folder / file, folder.parent / file):
                if shipped.exists():
                    resolved[n] = f"{flag}={shipped}{sign}{argument}"
    if str(folder.parent) not in sys.path:
        sys.path.append(str(folder.parent))  # last: it is for `configs` alone
    return resolved


def config_key(method: str) -> str:
    """A method's name as a ConfigDict key: "coop+fdbpl" is `optim_for.coop_fdbpl`."""
    return method.replace("+", "_").replace("-", "_")


def default_config() -> config_dict.ConfigDict:
    """The ConfigDict that every config file starts from, with all keys there are."""
    return config_dict.ConfigDict(
        {
            "protocol": "base2new",
            "name": "",
            "student": "",
            "teacher": "",
            # Lists of names are one string, separated by commas.
            "data": dataclasses.asdict(DataConfig())
            | {"datasets": "shapes-negative", "targets": ""},
            "methods": "coop,coop+kdpl,coop+fdbpl",
            "seeds": (1, 2, 3),
            # Of one method over those of all, over `tuned`, over the published ones.
            "prompt": _unset(PromptConfig),
            "prompt_for": {config_key(m): _unset(PromptConfig) for m in METHODS},
            "optim": _unset(OptimConfig),
            "optim_for": {config_key(m): _unset(OptimConfig) for m in METHODS},
            # What a config file has for its data, chosen on validation images.
            "tuned": {config_key(m): _unset(OptimConfig) for m in METHODS},
            "fdbpl": dataclasses.asdict(FdbplConfig()),
            "terms": dataclasses.asdict(TermConfig()),
            "names": dataclasses.asdict(NamesConfig()),
            "ril": dataclasses.asdict(RilConfig()),
            "eval_split": "test",
            "checkpoint_epochs": 10,
            "tensorboard": False,
            "platform": "",
            "sweep": dataclasses.asdict(SweepConfig()),
            "dtype": "",
        }
    )


def _unset(kind: type) -> dict[str, Any]:
    fields = dataclasses.fields(kind)
    return {f.name: config_dict.placeholder(type(f.default)) for f in fields}


def run_config(config: config_dict.ConfigDict) -> RunConfig:
    """The checked settings of a ConfigDict made by `default_config`.

    Raises:
      UserError: a key that does not exist, a value out of its range, a method named
        twice, or settings for a method that does not run.
    """
    values = config.to_dict()
    methods = values["methods"] = _names(values["methods"])
    for key in ("datasets", "targets"):
        values["data"][key] = _names(values["data"][key])
    for method in methods:
        method_named(method)
        if methods.count(method) > 1:
            raise UserError(f"method '{method}' is named twice", "Name it once.")
    tuned = {"optim": values.pop("tuned"), "prompt": {}}
    for kind in ("optim", "prompt"):
        common, specific = values.pop(kind), values.pop(f"{kind}_for")
        _refuse_unused(kind, specific, methods)
        pairs = []
        for method in methods:
            key = config_key(method)
            layers = tuned[kind].get(key, {}), common, specific[key]
            published = METHODS[method].in_protocol(values["protocol"])
            pairs.append((method, _over(getattr(published, kind), layers)))
        values[kind] = pairs
    _refuse_unknown(RunConfig, values, "config")
    for part, key in _PATHS:
        place = values[part] if part else values
        if isinstance(place[key], str):
            place[key] = os.path.expanduser(place[key])
    try:
        checked = msgspec.convert(values, RunConfig)
    except msgspec.ValidationError as error:
        raise _refused(str(error), values) from error
    except UnicodeEncodeError as error:
        raise UserError(f"config has {error.object!r}, which is not UTF-8") from error
    check_config(checked)
    return checked


def _refused(problem: str, values: Mapping[str, Any]) -> UserError:
    """Say which setting has which value, and what is expected there."""
    expected, _, path = problem.partition(" - at `$")
    keys = [int(key) if key.isdecimal() else key for key in re.findall(r"\w+", path)]
    value: Any = values
    for key in keys:
        value = value[key]
    name = ".".join(map(str, keys))
    if keys[0] in ("optim", "prompt"):  # pairs of a method and its settings
        name = f"{keys[0]} of {values[keys[0]][keys[1]][0]}: {keys[-1]}"
    return UserError(f"config {name} is {reprlib.repr(value)}", f"{expected}.")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _refuse_unused(
    kind: str, specific: Mapping[str, Mapping[str, Any]], methods: tuple[str, ...]
) -> None:
    used = {config_key(method) for method in methods}
    for key, values in specific.items():
        names = [name for name, value in values.items() if value is not None]
        if names and key not in used:
            raise UserError(
                f"config {kind}_for.{key}.{names[0]} is set, and that method is not "
                f"one of those that run: {', '.join(methods)}",
                "Leave it out, or name the method in --config.methods.",
            )


def _over(published: Any, layers: tuple[Mapping[str, Any], ...]) -> dict[str, Any]:
    """The published settings with what is set in each layer, the last one over all."""
    values = {k: v for layer in layers for k, v in layer.items() if v is not None}
    return dataclasses.asdict(dataclasses.replace(published, **values))


def _refuse_unknown(kind: type, values: Mapping[str, Any], where: str) -> None:
    fields: dict[str, Any] = {
        field.name: field.type for field in dataclasses.fields(kind)
    }
    for key, value in values.items():
        if key not in fields:
            raise unknown_name(f"key of {where}:", key, fields)
        if dataclasses.is_dataclass(fields[key]):
            _refuse_unknown(fields[key], value, f"{where}.{key}")

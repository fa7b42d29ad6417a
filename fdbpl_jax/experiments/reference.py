"""Settings with their defaults and meanings, for `--help` and docs/settings.md."""

import dataclasses
import inspect
import typing
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fdbpl_jax.config import RunConfig
from fdbpl_jax.experiments.settings import default_config

PUBLISHED = "<published>"  # the default of what each method has settings of its own for
_LEFT = 36  # columns of a flag; a longer one pushes its meaning to the right
_BY_METHOD = {
    "prompt": "any setting of `prompt` for one method; coop+fdbpl is coop_fdbpl",
    "optim": "any setting of `optim` for one method",
}


class Setting(NamedTuple):
    """A setting as it is written on a command line."""

    name: str  # "data.shots", of --config.data.shots
    default: str  # as it is typed after "="
    meaning: str


class Group(NamedTuple):
    """The settings of one part of the config."""

    name: str  # "data"; empty: of the config itself
    about: str
    settings: list[Setting]


def settings() -> list[Group]:
    """All settings, by the parts of the config, those of the run first."""
    return list(_groups(RunConfig, default_config().to_dict(), ""))


def settings_text() -> str:
    """All settings, one line each."""
    lines = [
        "",
        "Settings with their defaults, of the config file or the command line:",
    ]
    for setting in (s for group in settings() for s in group.settings):
        left = f"--config.{setting.name}"
        if "METHOD" not in setting.name:
            left += f"={setting.default or chr(34) * 2}"
        lines.append(f"  {left:<{_LEFT}}  {setting.meaning}")
    return "\n".join(lines)


def _groups(kind: type, values: Mapping[str, Any], name: str) -> Iterator[Group]:
    """Those of a dataclass, then those of the dataclasses in it."""
    rows: list[Setting] = []
    parts: list[tuple[str, type, Mapping[str, Any]]] = []
    prefix = f"{name}." if name else ""
    for field, hint in typing.get_type_hints(kind, include_extras=True).items():
        if dataclasses.is_dataclass(hint):
            parts.append((f"{prefix}{field}", typing.cast(type, hint), values[field]))
        elif field in _BY_METHOD:
            rows.append(Setting(f"{field}_for.METHOD.…", "", _BY_METHOD[field]))
            # Pairs of a method's name and its settings.
            of_method = typing.get_args(typing.get_args(hint)[0])[1]
            parts.append((field, of_method, values[field]))
        else:
            default = _typed(values[field])
            rows.append(Setting(f"{prefix}{field}", default, _text(hint)))
    yield Group(name, _about(kind), rows)
    for part, of_part, below in parts:
        yield from _groups(of_part, below, part)


def _about(kind: type) -> str:
    """The first sentence of a record's docstring."""
    return (inspect.getdoc(kind) or "").partition("\n")[0].partition(". ")[0]


def _text(hint: Any) -> str:
    """The text among the annotations of a setting's type."""
    (text,) = (x for x in hint.__metadata__ if isinstance(x, str))
    return text


def _typed(value: Any) -> str:
    if value is None:  # a placeholder, for what is published
        return PUBLISHED
    if isinstance(value, tuple):
        return ",".join(map(_typed, value))
    # "1" of 1.0, but 4 / 3 to the last digit.
    is_short = isinstance(value, float) and float(f"{value:g}") == value
    return f"{value:g}" if is_short else str(value)

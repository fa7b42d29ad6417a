"""ConfigDict in, checked and frozen dataclasses out.

Config files build on `default_config()`, the command line overrides any value, and
`run_config` turns the result into a `RunConfig`; nothing past that point sees a
ConfigDict, so every setting has one type, one meaning and one check.
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

from ml_collections import config_dict

from fdbpl_jax.config import (
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
from fdbpl_jax.experiments.protocols import PROTOCOLS
from fdbpl_jax.methods.method import METHODS, method_named
from fdbpl_jax.methods.published import METHOD_OPTIM, METHOD_PROMPT


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
            "data": {
                "root": "",
                "datasets": "shapes-negative",
                "targets": "",
                "shots": 16,
            },
            "methods": "coop,coop+kdpl,coop+fdbpl",
            "seeds": (1, 2, 3),
            # Those of all methods go over those of one, and those over the published.
            "prompt": _unset(PromptConfig),
            "prompt_for": {config_key(m): _unset(PromptConfig) for m in METHODS},
            "optim": _unset(OptimConfig),
            "optim_for": {config_key(m): _unset(OptimConfig) for m in METHODS},
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
      UserError: a key that does not exist, or a value out of its range.
    """
    values = config.to_dict()
    values["methods"] = _names(values["methods"])
    for key in ("datasets", "targets"):
        values["data"][key] = _names(values["data"][key])
    for method in values["methods"]:
        method_named(method)
    for name, published in (("optim", METHOD_OPTIM), ("prompt", METHOD_PROMPT)):
        common, own = values.pop(name), values.pop(f"{name}_for")
        values[name] = tuple(
            (m, _over(published[m], own[config_key(m)], common))
            for m in values["methods"]
        )
    result = _build(RunConfig, values, "config")
    _check(result)
    return result


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _over(published: Any, own: dict[str, Any], common: dict[str, Any]) -> Any:
    """The published settings with what the config sets in place of them."""
    overrides = {k: v for k, v in own.items() if v is not None}
    overrides |= {k: v for k, v in common.items() if v is not None}
    return dataclasses.replace(published, **overrides)


def _build(kind: type, values: Mapping[str, Any], where: str) -> Any:
    """A (nested) dataclass from a dict with exactly its fields."""
    fields = {f.name: f.type for f in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            raise unknown_name(f"key of {where}:", key, fields)
    return kind(
        **{
            key: _build(fields[key], value, f"{where}.{key}")
            if dataclasses.is_dataclass(fields[key])
            else tuple(value)
            if isinstance(value, list | tuple)
            else value
            for key, value in values.items()
        }
    )


def _check(run: RunConfig) -> None:
    """Refuses values that no run could use, before anything is computed."""
    _require(len(run.methods) > 0, "methods", run.methods, "name one at least")
    _require(len(run.seeds) > 0, "seeds", run.seeds, "give one at least")
    _require(
        len(set(run.seeds)) == len(run.seeds), "seeds", run.seeds, "give each seed once"
    )
    _require(len(run.data.datasets) > 0, "data.datasets", "", "name one at least")
    for name, shots in (("data", (run.data.shots,)), ("sweep", run.sweep.shots)):
        _require(all(n >= 1 for n in shots), f"{name}.shots", shots, "at least 1")
    _check_protocol(run)
    _one_of("fdbpl.weight_from", run.fdbpl.weight_from, ("teacher", "sparse"))
    _one_of("eval_split", run.eval_split, ("test", "val"))
    _one_of("platform", run.platform, ("", "cpu", "gpu", "tpu"))
    _one_of("dtype", run.dtype, ("", "float32", "bfloat16"))
    _require(
        run.checkpoint_epochs >= 1,
        "checkpoint_epochs",
        run.checkpoint_epochs,
        "at least 1",
    )
    _check_ril(run.ril)
    at_once, rates = run.sweep.at_once, run.sweep.lr
    _require(at_once >= 1, "sweep.at_once", at_once, "at least 1")
    _require(all(rate >= 0 for rate in rates), "sweep.lr", rates, "0 or more")
    for method, optim in run.optim:
        _check_optim(f"optim of {method}", optim)
    for method, prompt in run.prompt:
        _check_prompt(method, prompt)
    for method in run.methods:
        if METHODS[method].names == "list" and not run.names.file:
            raise UserError(
                f"method '{method}' trains on a list of names, and names.file is empty",
                "Set --config.names.file to a text file with one name a line.",
            )
    _require(run.names.keep >= 2, "names.keep", run.names.keep, "at least 2")


def _check_protocol(run: RunConfig) -> None:
    _one_of("protocol", run.protocol, tuple(PROTOCOLS))
    plain = re.fullmatch(r"([A-Za-z0-9][\w.+-]*(/(?!$)|$))*", run.name)
    _require(bool(plain), "name", run.name, "letters and digits, parts between '/'")
    data, targets = run.data.datasets, run.data.targets
    _require(len(set(data)) == len(data), "data.datasets", data, "each one once")
    if not PROTOCOLS[run.protocol].transfers:
        _require(not targets, "data.targets", targets, f"none in {run.protocol}")
        return
    _require(len(data) == 1, "data.datasets", data, "the one that is trained on")
    _require(len(targets) > 0, "data.targets", targets, "one or more to test on")
    alone = len({*targets, *data}) == len(targets) + 1
    _require(alone, "data.targets", targets, "each one once, without the trained one")
    for method, prompt in run.prompt:
        _require(
            not prompt.class_specific,
            f"prompt of {method}: class_specific",
            True,
            f"False in {run.protocol}: other classes are tested",
        )


def _check_ril(ril: RilConfig) -> None:
    _one_of("ril.label", ril.label, ("mr", "ms", "full"))
    _one_of("ril.access", ril.access, ("slab", "random"))
    for name in ("regions", "keep"):
        value = getattr(ril, name)
        _require(value >= 0, f"ril.{name}", value, "0 or more")
    _require(
        ril.regions_per_epoch >= 1,
        "ril.regions_per_epoch",
        ril.regions_per_epoch,
        "at least 1",
    )
    low, high = ril.crop.scale
    _require(
        0 < low <= high <= 1, "ril.crop.scale", (low, high), "0 < low <= high <= 1"
    )
    low, high = ril.crop.ratio
    _require(0 < low <= high, "ril.crop.ratio", (low, high), "0 < low <= high")
    _require(0 <= ril.crop.flip <= 1, "ril.crop.flip", ril.crop.flip, "0 to 1")


def _check_optim(where: str, optim: OptimConfig) -> None:
    for name in ("epochs", "batch_size"):
        value = getattr(optim, name)
        _require(value >= 1, f"{where}: {name}", value, "at least 1")
    for name in ("lr", "momentum", "weight_decay", "warmup_lr", "warmup_epochs"):
        value = getattr(optim, name)
        _require(
            value >= 0 and math.isfinite(value), f"{where}: {name}", value, "0 or more"
        )


def _require(holds: bool, name: str, value: Any, allowed: str) -> None:
    if not holds:
        raise UserError(f"config {name} is {value!r}", f"Allowed: {allowed}.")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise unknown_name(
            f"value of config {name}:", value, [k or "''" for k in known]
        )


def _check_prompt(method: str, prompt: PromptConfig) -> None:
    where, learner = f"prompt of {method}:", METHODS[method].learner
    _one_of(f"{where} position", prompt.position, ("end", "middle", "front"))
    learned = {
        "context_length": learner not in ("vpt", "promptkd"),
        "image_tokens": learner in ("vpt", "ivlp", "promptkd"),
        "text_depth": learner in ("maple", "ivlp"),
        "image_depth": learner in ("vpt", "ivlp", "promptkd"),
    }
    for name, used in learned.items():
        value, unused = getattr(prompt, name), 1 if "depth" in name else 0
        allowed = "at least 1" if used else f"{unused}: {learner} learns none"
        holds = value >= 1 if used else value == unused
        _require(holds, f"{where} {name}", value, allowed)
    _require(
        learner == "coop" or not prompt.class_specific,
        f"{where} class_specific",
        prompt.class_specific,
        "only with the learner of CoOp",
    )

"""Checks of a run's settings that take more than one value or a list of names."""

import re
from typing import Any

from fdbpl_jax.config import PromptConfig, RilConfig, RunConfig
from fdbpl_jax.errors import UserError, unknown_name
from fdbpl_jax.experiments.protocols import PROTOCOLS
from fdbpl_jax.methods.table import METHODS, Names
from fdbpl_jax.ril.regions import check_crop


def check_config(config: RunConfig) -> None:
    """Refuse values that no run could use; bounds of numbers are `config.py`'s.

    Raises:
      UserError: the first of them.
    """
    _require(len(config.methods) > 0, "methods", config.methods, "name one at least")
    _require(len(config.seeds) > 0, "seeds", config.seeds, "give one at least")
    once = len(set(config.seeds)) == len(config.seeds)
    _require(once, "seeds", config.seeds, "give each seed once")
    _require(len(config.data.datasets) > 0, "data.datasets", "", "name one at least")
    _check_protocol(config)
    template = config.data.template
    holds = not template or (
        [template.count(part) for part in ("{}", "{", "}")] == [1, 1, 1]
        and template.isprintable()
    )
    _require(holds, "data.template", template, "a line of text with one {}")
    _one_of("fdbpl.weight_from", config.fdbpl.weight_from, ("teacher", "sparse"))
    _one_of("eval_split", config.eval_split, ("test", "val"))
    _one_of("platform", config.platform, ("", "cpu", "gpu", "tpu"))
    _one_of("dtype", config.dtype, ("", "float32", "bfloat16"))
    _check_ril(config.ril)
    for method, prompt in config.prompt:
        _check_prompt(method, prompt)
    for method in config.methods:
        if METHODS[method].names is Names.LIST and not config.names.file:
            raise UserError(
                f"method '{method}' trains on a list of names, and names.file is empty",
                "Set --config.names.file to a text file with one name a line.",
            )


def _check_protocol(config: RunConfig) -> None:
    _one_of("protocol", config.protocol, tuple(PROTOCOLS))
    plain = re.fullmatch(r"([A-Za-z0-9][\w.+-]*(/(?!$)|$))*", config.name)
    _require(bool(plain), "name", config.name, "letters and digits, parts between '/'")
    data, targets = config.data.datasets, config.data.targets
    _require(len(set(data)) == len(data), "data.datasets", data, "each one once")
    if not PROTOCOLS[config.protocol].transfers:
        _require(not targets, "data.targets", targets, f"none in {config.protocol}")
        return
    _require(len(data) == 1, "data.datasets", data, "the one that is trained on")
    _require(len(targets) > 0, "data.targets", targets, "one or more to test on")
    alone = len({*targets, *data}) == len(targets) + 1
    _require(alone, "data.targets", targets, "each one once, without the trained one")
    for method, prompt in config.prompt:
        _require(
            not prompt.class_specific,
            f"prompt of {method}: class_specific",
            True,
            f"False in {config.protocol}: other classes are tested",
        )


def _check_ril(ril: RilConfig) -> None:
    _one_of("ril.label", ril.label, ("mr", "ms", "full"))
    _one_of("ril.access", ril.access, ("slab", "random"))
    check_crop(ril.crop)


def _require(holds: bool, name: str, value: Any, allowed: str) -> None:
    if not holds:
        raise UserError(f"config {name} is {value!r}", f"Allowed: {allowed}.")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        names = [word or "''" for word in known]
        raise unknown_name(f"value of config {name}:", value, names)


def _check_prompt(method: str, prompt: PromptConfig) -> None:
    where, learner = f"prompt of {method}:", METHODS[method].learner
    _one_of(f"{where} position", prompt.position, ("end", "middle", "front"))
    for name in ("context_length", "image_tokens", "text_depth", "image_depth"):
        value, unused = getattr(prompt, name), 1 if "depth" in name else 0
        used = name in learner.settings
        allowed = "at least 1" if used else f"{unused}: {learner.name} learns none"
        holds = value >= 1 if used else value == unused
        _require(holds, f"{where} {name}", value, allowed)
    _require(
        "class_specific" in learner.settings or not prompt.class_specific,
        f"{where} class_specific",
        prompt.class_specific,
        "only with the learner of CoOp",
    )

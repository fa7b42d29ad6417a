"""A run's settings: ConfigDict in, checked and frozen dataclasses out.

Config files build on `default_config()`, the command line overrides any value, and
`run_config` turns the result into a `RunConfig`; nothing past that point sees a
ConfigDict, so every setting has one type, one meaning and one check.
"""

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any

from ml_collections import config_dict

from fdbpl_jax.errors import UserError, unknown_name


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which images, and how many of them are trained on."""

    root: str = ""  # folder that holds the data sets; the embedded ones need none
    datasets: tuple[str, ...] = ("shapes-negative",)
    shots: int = 16  # training images a class


@dataclasses.dataclass(frozen=True)
class CropConfig:
    """How regions are drawn: torchvision's RandomResizedCrop, then a coin to flip."""

    scale: tuple[float, float] = (0.08, 0.936)  # share of the image's area
    ratio: tuple[float, float] = (3 / 4, 4 / 3)  # width / height, drawn log-uniformly
    flip: float = 0.5  # probability of mirroring


@dataclasses.dataclass(frozen=True)
class RilConfig:
    """The RIL table a run needs and how it is read."""

    path: str = ""  # a table to use; empty: one in the workdir, built when missing
    regions: int = 0  # M, stored regions an image; 0: just what the epochs read
    keep: int = 0  # K, kept labels a region; 0: the paper's 20, or all if C is less
    label: str = "mr"  # "mr", "ms" or "full": how kept labels become a whole one
    access: str = "slab"  # "slab": a contiguous read an epoch; "random": any regions
    regions_per_epoch: int = 1  # R, regions read of each image each epoch
    seed: int = 0  # of the boxes and flips
    crop: CropConfig = CropConfig()


@dataclasses.dataclass(frozen=True)
class PromptConfig:
    """The learnable context of CoOp."""

    context_length: int = 4  # L, learnable tokens
    init: str = "a photo of a"  # words of L tokens; empty: random, N(0, 0.02)
    negative_init: str = "a photo of no"  # the same for the negative prompt
    class_specific: bool = False  # a context for each class
    position: str = "end"  # of the class name: "end", "middle" or "front"


@dataclasses.dataclass(frozen=True)
class FdbplConfig:
    """Weights of FDBPL's loss (equations 13, 16 and 17). Chosen in docs/defaults.md."""

    lambda_neg: float = 1.0
    lambda_diff1: float = 0.1
    lambda_diff2: float = 0.1
    alpha: float = 1.0
    delta: float = 0.2
    weight_from: str = "teacher"  # entropy of the full label, or of the "sparse" one


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """SGD with momentum, coupled weight decay and a cosine by epochs."""

    epochs: int = 50
    batch_size: int = 32
    lr: float = 0.002
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_epochs: int = 1  # at warmup_lr, constant
    warmup_lr: float = 1e-5


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """Values to try, every combination of them for every seed; empty: the config's own.

    Fields but the last are named as those of `OptimConfig` and `FdbplConfig`.
    """

    lr: tuple[float, ...] = ()
    lambda_neg: tuple[float, ...] = ()
    lambda_diff1: tuple[float, ...] = ()
    lambda_diff2: tuple[float, ...] = ()
    alpha: tuple[float, ...] = ()
    delta: tuple[float, ...] = ()
    at_once: int = 1  # runs (settings and seeds of a method) in one compiled call


_COOP = OptimConfig()  # also KDPL's
_FDBPL = OptimConfig(batch_size=128, lr=0.1, warmup_epochs=0)  # paper, section 4.1.2
METHOD_OPTIM: Mapping[str, OptimConfig] = types.MappingProxyType(
    {
        "coop": _COOP,
        "coop+kdpl": _COOP,
        "coop+fdbpl": _FDBPL,
        "coop+fdbpl_release": _FDBPL,
    }
)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All that decides a run's numbers, checked."""

    student: str  # a directory or hub id in Hugging Face layout; empty: the embedded
    teacher: str
    data: DataConfig
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    prompt: PromptConfig
    fdbpl: FdbplConfig
    ril: RilConfig
    optim: tuple[tuple[str, OptimConfig], ...]  # a pair for each of `methods`
    eval_split: str  # "test"; "val" to choose settings
    checkpoint_epochs: int
    tensorboard: bool
    platform: str  # "", "cpu", "gpu" or "tpu": refused when JAX runs on another
    sweep: SweepConfig
    dtype: str  # of the towers; "": bfloat16 on accelerators, float32 on a CPU

    def optim_of(self, method: str) -> OptimConfig:
        """The optimiser settings of one of `methods`."""
        return dict(self.optim)[method]


def config_key(method: str) -> str:
    """A method's name as a ConfigDict key: "coop+fdbpl" is `optim_for.coop_fdbpl`."""
    return method.replace("+", "_")


def default_config() -> config_dict.ConfigDict:
    """The ConfigDict that every config file starts from, with all keys there are."""
    return config_dict.ConfigDict(
        {
            "student": "",
            "teacher": "",
            "data": {"root": "", "datasets": "shapes-negative", "shots": 16},
            "methods": "coop,coop+kdpl,coop+fdbpl",
            "seeds": (1, 2, 3),
            "prompt": dataclasses.asdict(PromptConfig()),
            "fdbpl": dataclasses.asdict(FdbplConfig()),
            "ril": dataclasses.asdict(RilConfig()),
            "optim": _unset_optim(),  # for every method, over what follows
            "optim_for": {config_key(m): _unset_optim() for m in METHOD_OPTIM},
            "eval_split": "test",
            "checkpoint_epochs": 10,
            "tensorboard": False,
            "platform": "",
            "sweep": dataclasses.asdict(SweepConfig()),
            "dtype": "",
        }
    )


def _unset_optim() -> dict[str, Any]:
    fields = dataclasses.fields(OptimConfig)
    return {f.name: config_dict.placeholder(type(f.default)) for f in fields}


def run_config(config: config_dict.ConfigDict) -> RunConfig:
    """The checked settings of a ConfigDict made by `default_config`.

    Raises:
      UserError: a key that does not exist, or a value out of its range.
    """
    values = config.to_dict()
    optim, optim_for = values.pop("optim"), values.pop("optim_for")
    values["methods"] = _names(values["methods"])
    values["data"]["datasets"] = _names(values["data"]["datasets"])
    for method in values["methods"]:
        if method not in METHOD_OPTIM:
            raise unknown_name("method", method, METHOD_OPTIM)
    values["optim"] = tuple(
        (m, _optim(m, optim_for[config_key(m)], optim)) for m in values["methods"]
    )
    result = _build(RunConfig, values, "config")
    _check(result)
    return result


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _optim(method: str, own: dict[str, Any], common: dict[str, Any]) -> OptimConfig:
    overrides = {k: v for k, v in own.items() if v is not None}
    overrides |= {k: v for k, v in common.items() if v is not None}
    return dataclasses.replace(METHOD_OPTIM[method], **overrides)


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
    _require(run.data.shots >= 1, "data.shots", run.data.shots, "at least 1")
    _one_of("prompt.position", run.prompt.position, ("end", "middle", "front"))
    _require(
        run.prompt.context_length >= 1,
        "prompt.context_length",
        run.prompt.context_length,
        "at least 1",
    )
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

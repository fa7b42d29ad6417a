"""The settings that each method was published with; docs/methods.md has what differs.

CoOp, CoCoOp, VPT, MaPLe and PromptSRC as KDPL trains them with ViT-B/32 (its own
settings with a teacher are the same); KgCoOp, ProGrad and PromptKD as their authors
do, UPL as the code that its authors built on; FDBPL as its paper has it where a text
context is all that is learned, and elsewhere with the settings of the learner.

These are the settings of base-to-new; `by_protocol` has what other protocols change.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from fdbpl_jax.config import OptimConfig, PromptConfig, TermConfig

OPTIM = {
    "coop": OptimConfig(),
    "cocoop": OptimConfig(epochs=10, batch_size=1),
    "vpt": OptimConfig(epochs=5, batch_size=4, lr=0.0025),
    "maple": OptimConfig(epochs=5, batch_size=4, lr=0.0035),
    "promptsrc": OptimConfig(epochs=20, batch_size=4, lr=0.0025),
    "kgcoop": OptimConfig(epochs=100, batch_size=128),
    "prograd": OptimConfig(epochs=100),
    "upl": OptimConfig(),
    "promptkd": OptimConfig(epochs=20, batch_size=8, lr=0.005),
    "promptkd-inductive": OptimConfig(epochs=20, batch_size=8, lr=0.005),
}
_IMAGE_ONLY = PromptConfig(context_length=0, image_tokens=4, image_depth=9)
PROMPT = {
    "coop": PromptConfig(),
    "cocoop": PromptConfig(),
    "vpt": dataclasses.replace(_IMAGE_ONLY, image_tokens=8, image_depth=12),
    "maple": PromptConfig(context_length=2, text_depth=9),
    "promptsrc": PromptConfig(text_depth=9, image_tokens=4, image_depth=9),
    "kgcoop": PromptConfig(),
    "prograd": PromptConfig(context_length=16),
    "upl": PromptConfig(context_length=16, init=""),
    "promptkd": _IMAGE_ONLY,
    "promptkd-inductive": _IMAGE_ONLY,
}
SOURCE = {
    "coop": "KDPL's vit_b32_ctxv1",
    "cocoop": "KDPL's c4_ep10_batch1_ctxv1",
    "vpt": "KDPL's vit_b32_ep5_batch4_4",
    "maple": "KDPL's vit_b32_ep5_batch4_2ctx",
    "promptsrc": "KDPL, PromptSRC",
    "kgcoop": "KgCoOp",
    "prograd": "ProGrad",
    "upl": "CoOp, which UPL builds on",
    "promptkd": "PromptKD, stage 2",
    "promptkd-inductive": "PromptKD, base classes alone",
}


class Change(NamedTuple):
    """What a protocol changes of a method's settings, and where that is published."""

    source: str
    optim: Mapping[str, Any]
    prompt: Mapping[str, Any]


# PromptSRC's mean and standard deviation of the average, by protocol.
_AVERAGE = {
    "base2new": (15.0, 1.0),
    "few_shot": (30.0, 30.0),
    "cross_dataset": (6.0, 10.0),
    "domain_generalization": (6.0, 10.0),
}
_LATE_AVERAGE = (45.0, 5.0)  # with few_shot, on these:
_LATE = {"stanford_cars", "oxford_flowers", "fgvc_aircraft", "dtd", "eurosat"}
_SHALLOW = {"text_depth": 3, "image_depth": 3}
_TRANSFER = {
    "promptsrc": Change("PromptSRC's ep20_cross_datasets", {}, _SHALLOW),
    "promptkd": Change("PromptKD's ep20_cross_datasets", {}, {"image_depth": 3}),
    "maple": Change(
        "MaPLe's ep5_cross_datasets",
        {"epochs": 2, "lr": 0.0026},
        {"text_depth": 3},
    ),
}
_BY_PROTOCOL = {
    "few_shot": {"promptsrc": Change("PromptSRC's ep50_few_shot", {"epochs": 50}, {})},
    "cross_dataset": _TRANSFER,
    "domain_generalization": _TRANSFER,
}

PROTOCOLS = tuple(_AVERAGE)  # as `experiments.protocols` has them


def by_protocol(method: str, protocol: str) -> Change | None:
    """What a protocol changes of a method's settings; None: nothing.

    KDPL trains MaPLe with the same settings in every protocol.
    """
    preset, _, loss = method.removesuffix("-inductive").partition("+")
    if preset == "maple" and loss.startswith("kdpl"):
        return None
    return _BY_PROTOCOL.get(protocol, {}).get(preset)


def published_terms(terms: TermConfig, protocol: str, dataset: str) -> TermConfig:
    """The weights with PromptSRC's average as published, where none is set."""
    late = protocol == "few_shot" and dataset in _LATE
    mean, std = _LATE_AVERAGE if late else _AVERAGE[protocol]
    return dataclasses.replace(
        terms,
        promptsrc_mean=terms.promptsrc_mean or mean,
        promptsrc_std=terms.promptsrc_std or std,
    )

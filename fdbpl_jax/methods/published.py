"""The settings that each method was published with; docs/methods.md has what differs.

CoOp, CoCoOp, VPT, MaPLe and PromptSRC as KDPL trains them with ViT-B/32 (its own
settings with a teacher are the same); KgCoOp, ProGrad and PromptKD as their authors
do, UPL as the code that its authors built on; FDBPL as its paper has it where a text
context is all that is learned, and elsewhere with the settings of the learner.
"""

import dataclasses
import types
from collections.abc import Mapping

from fdbpl_jax.config import OptimConfig, PromptConfig
from fdbpl_jax.methods.method import METHODS

_FDBPL = OptimConfig(batch_size=128, lr=0.1, warmup_epochs=0)  # paper, section 4.1.2
_OPTIM = {
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
_PROMPT = {
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
SOURCE: Mapping[str, str] = types.MappingProxyType(
    {
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
)


def preset_of(method: str) -> str:
    """The part of a method's name before the "+"."""
    return method.partition("+")[0]


def _optim(name: str) -> OptimConfig:
    method = METHODS[name]
    only_context = method.learner == "coop"
    return _FDBPL if method.negative and only_context else _OPTIM[preset_of(name)]


METHOD_OPTIM: Mapping[str, OptimConfig] = types.MappingProxyType(
    {name: _optim(name) for name in METHODS}
)
METHOD_PROMPT: Mapping[str, PromptConfig] = types.MappingProxyType(
    {name: _PROMPT[preset_of(name)] for name in METHODS}
)

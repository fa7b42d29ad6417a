"""The settings that each method was published with; docs/methods.md has what differs.

CoOp, CoCoOp, VPT, MaPLe and PromptSRC as KDPL trains them with ViT-B/32 (its own
settings with a teacher are the same); KgCoOp, ProGrad and PromptKD as their authors
do, UPL as the code that its authors built on; FDBPL as its paper has it where a text
context is all that is learned, and elsewhere with the settings of the learner.
"""

import dataclasses

from fdbpl_jax.config import OptimConfig, PromptConfig

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

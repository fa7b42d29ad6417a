"""Exports of any method as a cell writes them, of prompts that were never trained."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from fdbpl_jax.clip.model import Clip, load_clip
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.learners.coop import COOP, negative_prompt
from fdbpl_jax.learners.learner import Prompts, Start, init_prompt, tree_of
from fdbpl_jax.methods.table import method_named
from fdbpl_jax.shapes import embedded
from fdbpl_jax.training.checkpoint import export_prompts

NAMES = ("red circle", "blue square", "green cross", "yellow star")


def make_export(
    folder: Path,
    method_name: str = "coop+fdbpl",
    names: tuple[str, ...] = NAMES,
    seed: int = 0,
    settings: dict | None = None,
    **prompt_changes,
) -> Path:
    """Write the export of a method's initial prompts, somewhat moved.

    `settings` are of a cell, beside those that every export has.
    """
    student, teacher = (load_clip(str(embedded(x))) for x in ("student", "teacher"))
    method = method_named(method_name)
    prompt = dataclasses.replace(method.prompt, **prompt_changes)
    learner, width = method.learner, teacher.config.projection

    def initial(learner, prompt: PromptConfig):
        parts = student.config, student.params, student.tokenizer, prompt
        start = Start(*parts, len(names), width)
        return init_prompt(jax.random.key(seed), learner, start)

    prompts = Prompts(initial(learner, prompt))
    if method.loss.negative:
        negative = negative_prompt(student.tokenizer, prompt)
        prompts = prompts._replace(negative=initial(COOP, negative))
    rng = np.random.default_rng(seed)
    tree = tree_of(
        jax.tree.map(
            lambda leaf: np.asarray(leaf + rng.normal(0, 0.01, leaf.shape), np.float32),
            prompts,
        )
    )
    if learner.init_running:
        tree["running"] = jax.device_get(tree_of(learner.init_running(width)))
    facts = {
        "class_names": list(names),
        "template": "a photo of a {}.",
        "student": _source(student),
        "teacher": _source(teacher),
        "config": {
            "method": method_name,
            "dtype": "float32",
            "prompt": dataclasses.asdict(prompt),
            **(settings or {}),
        },
    }
    export_prompts(folder, tree, facts)
    return folder


def _source(clip: Clip) -> dict[str, str]:
    return {"name": clip.name, "sha256": clip.fingerprint}

"""Learned prompts wherever they are: a cell's export, a classifier folder, the hub."""

from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from fdbpl_jax.classifier.sources import Source
from fdbpl_jax.classifier.stored import (
    FACTS,
    REPOSITORY,
    Stored,
    is_classifier,
    read_stored,
)
from fdbpl_jax.classifier.texts import Wording
from fdbpl_jax.clip.hub import fetch, is_hub_id
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.errors import UserError
from fdbpl_jax.learners.coop import COOP
from fdbpl_jax.learners.learner import Prompts, from_tree
from fdbpl_jax.methods.table import method_named
from fdbpl_jax.training.checkpoint import load_prompts


class _Config(msgspec.Struct, frozen=True):
    method: str
    prompt: dict[str, Any]
    dtype: str = ""  # of the towers; imported prompts name none


class ExportFacts(msgspec.Struct, frozen=True):
    """What is read of a `prompts.json`."""

    class_names: tuple[str, ...]
    student: Source
    config: _Config
    teacher: Source | None = None
    template: str = "a photo of a {}."


class Opened(NamedTuple):
    """Learned prompts as they were read."""

    wording: Wording
    running: Any  # running statistics of learners that have them
    facts: ExportFacts
    stored: Stored | None  # None: it is an export, no classifier folder


def open_prompts(source: str | Path) -> Opened:
    """Read learned prompts and check that they are whole.

    Args:
      source: the folder of an export or a classifier, or a classifier's hub id.

    Raises:
      UserError: there are none, they are damaged, or of another format.
    """
    folder = locate_prompts(source)
    stored = read_stored(folder) if is_classifier(folder) else None
    tree, values = load_prompts(folder)
    try:
        facts = msgspec.convert(values, ExportFacts)
        # Imported contexts of earlier versions do not say that they have no words.
        prompt = PromptConfig(**{"init": "", **facts.config.prompt})
        method = method_named(facts.config.method)
        running = tree.pop("running", None)
        kinds = {"positive": method.learner.prompt, "negative": COOP.prompt}
        parts = {name: from_tree(kinds[name], part) for name, part in tree.items()}
        if method.learner.init_running:
            running = from_tree(type(method.learner.init_running(1)), running)
        prompts = Prompts(**parts)
    except (msgspec.ValidationError, TypeError, KeyError) as error:
        raise UserError(
            f"'{folder}' does not hold prompts of this version: {error}",
            "Use the version that wrote them, or export them again.",
        ) from error
    wording = Wording(method, prompt, prompts, facts.class_names, facts.template)
    return Opened(wording, running, facts, stored)


def locate_prompts(source: str | Path) -> Path:
    """The folder of learned prompts, which is fetched if it is named by a hub id.

    Raises:
      UserError: the hub has no such classifier, or cannot be reached.
    """
    folder = Path(source).expanduser()
    if folder.exists() or not is_hub_id(str(source)):
        return folder
    folder = fetch("classifier", str(source), REPOSITORY, lambda names: [])
    # What is no classifier folder could name paths to be read.
    if not is_classifier(folder):
        raise UserError(
            f"'{source}' on the Hugging Face hub has no {FACTS}",
            "Give the id of a classifier, or the folder of one.",
        )
    return folder

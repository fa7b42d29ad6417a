"""A finished cell, opened again to be drawn: its prompts, student and data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.clip.model import Clip, load_clip
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.data.open_dataset import open_by_flag
from fdbpl_jax.data.splits import subset
from fdbpl_jax.data.types import Dataset, prompt_name
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.cell_files import EXPORT, read_results
from fdbpl_jax.learners import coop
from fdbpl_jax.ril.spec import class_difference
from fdbpl_jax.training.checkpoint import load_prompts


class OpenCell(NamedTuple):
    """A finished cell with what it was trained with."""

    path: Path  # its folder
    prompts: Mapping[str, Any]  # of `load_prompts`
    facts: Mapping[str, Any]  # of `load_prompts`
    clip: Clip
    dataset: Dataset


def open_cell(path: Path, student: str, data_root: str) -> OpenCell:
    """Open a finished cell of a method with a positive and a negative text context.

    Args:
      student: where the student is now; empty: where it was.
      data_root: the folder that holds the data; of embedded data, the rendered ones.

    Raises:
      UserError: the cell is not finished, or damaged; its prompts are of another
        kind, or the student or the data set's classes are others.
    """
    read_results(path)
    prompts, facts = load_prompts(path / EXPORT)
    clip = load_clip(student or facts["student"]["name"])
    check_prompts(clip, prompts, facts)
    name = facts["config"]["dataset"]
    dataset = open_by_flag(name, data_root)
    trained_on = subset(dataset, facts["config"]["classes"]).class_names
    if list(trained_on) != list(facts["class_names"]):
        raise UserError(
            f"data set '{name}' there has other classes than '{path}' was trained on: "
            f"{class_difference(trained_on, tuple(facts['class_names']))}",
            "Set --data_root to the data that the cell was trained on.",
        )
    return OpenCell(path, prompts, facts, clip, dataset)


def check_prompts(
    clip: Clip, prompts: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """Refuse prompts that are no text contexts, or of another student."""
    if set(prompts) != {"positive", "negative"} or any(
        set(prompt) != {"context"} for prompt in prompts.values()
    ):
        raise UserError(
            f"the prompts of method '{facts['config']['method']}' are not a positive "
            "and a negative text context",
            "Give a cell of coop+fdbpl.",
        )
    if clip.fingerprint != facts["student"]["sha256"]:
        raise UserError(
            f"'{clip.name}' is another student than the cell's",
            f"Set --student to '{facts['student']['name']}' or where it is now.",
        )


def class_text(
    cell: OpenCell, branch: str, class_names: Sequence[str]
) -> Float[Array, "C D"]:
    """Encode classes under the cell's "positive" or "negative" prompt, L2-normalised.

    They may be any, not only those trained on.
    """
    clip, prompt = cell.clip, PromptConfig(**cell.facts["config"]["prompt"])
    if branch == "negative":
        prompt = coop.negative_prompt(clip.tokenizer, prompt)
    names = [prompt_name(name) for name in class_names]
    return coop.encode_context(
        clip.config.text,
        clip.params["text"],
        coop.class_layout(clip.tokenizer, clip.config.text, names, prompt),
        jnp.asarray(cell.prompts[branch]["context"]),
    )

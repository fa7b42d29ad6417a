"""How a classifier was made: what its files say of it."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fdbpl_jax.classifier.stored import Accuracy
from fdbpl_jax.errors import UserError
from fdbpl_jax.files.sealed import file_digest
from fdbpl_jax.reports.results import CellResult
from fdbpl_jax.training.checkpoint import check_export

# Of a cell's settings, what a reader of the model card wants to know.
_HOW = ("imported", "dataset", "classes", "shots", "seed", "optim", "ril")


@dataclasses.dataclass(frozen=True)
class Made:
    """How a classifier was made and how good it is, as its files say."""

    data: str  # what it was learned from, in words, on one line
    # JSON values without paths: settings, numbers of images, seeds …
    how: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    # By what was tested, such as "48 validation images".
    accuracies: Mapping[str, Accuracy] = dataclasses.field(default_factory=dict)
    # Rejection scores of validation images of the classes; none: no threshold.
    rejection: Sequence[float] = ()


def made_of(export: Path, rejection: Sequence[float] = ()) -> Made:
    """How an export was made, and its accuracy where it lies in its cell.

    Raises:
      UserError: the results beside it are damaged or another export's.
    """
    facts = check_export(export)
    config = facts["config"]
    how = {name: config[name] for name in _HOW if name in config}
    if "imported" in config:
        data = f"a context that was imported from {config['imported']}"
    else:
        images = f"{config['shots']} images of each class" if "shots" in config else ""
        data = ", ".join(filter(None, [config.get("dataset", "unknown"), images]))
    return Made(data, how, _accuracies(export, config), rejection)


def _accuracies(export: Path, config: dict[str, Any]) -> dict[str, Accuracy]:
    results = export.parent / "results.jsonl"
    if export.name != "export" or not results.exists():
        return {}
    split = "validation" if config.get("eval_split") == "val" else "test"
    accuracies = {}
    for line in results.read_text().splitlines():
        result, facts = CellResult.parse(line, f"'{results}'")
        digests = facts.get("files", {})
        if digests.get("export/prompts.json") != file_digest(export / "prompts.json"):
            raise UserError(
                f"'{results}' is not of the export beside it",
                "Run the command of the cell again.",
            )
        images = f"{split} images of {result.dataset}"
        first = images if result.new is None else f"{images}, trained classes"
        accuracies[first] = Accuracy(result.base)
        if result.new is not None:
            accuracies[f"{images}, new classes"] = Accuracy(result.new)
    return accuracies

"""All that decides a cell's numbers, kept in its folder to tell it from others."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from fdbpl_jax.config import RunConfig
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.cell_files import (
    discard_damaged,
    read_settings,
    settings_of_results,
    write_settings,
)
from fdbpl_jax.experiments.cells import Cell
from fdbpl_jax.experiments.protocols import PROTOCOLS
from fdbpl_jax.experiments.shared_inputs import SharedInputs
from fdbpl_jax.files.sealed import digest
from fdbpl_jax.methods.published import published_terms
from fdbpl_jax.methods.table import Names

# Not recorded by version 0.1.0, in which they were fixed for a data set.
_ADDED = frozenset({"template", "table_made.batch"})


def cell_settings(
    config: RunConfig, shared: SharedInputs, cell: Cell
) -> dict[str, Any]:
    """All that decides the cell's numbers, as JSON values."""
    method, student = cell.method, shared.models.student
    settings = {
        "dataset": cell.dataset.name,
        "method": method.name,
        "seed": cell.seed,
        "class_names": cell.dataset.class_names,
        "template": cell.dataset.template,
        "student": student.fingerprint,
        "dtype": student.dtype,
        "classes": PROTOCOLS[config.protocol].classes[0],
        "shots": cell.setting.shots,
        "tested": [test_set.name for test_set in shared.test_sets],
        "eval_split": config.eval_split,
        "prompt": dataclasses.asdict(cell.prompt),
        "optim": dataclasses.asdict(cell.setting.optim),
    }
    parts = [shared.dataset, *(test_set.base.dataset for test_set in shared.test_sets)]
    if any(part.left_out for part in parts):
        paths = {part.name: [e.path for e in part.left_out] for part in parts}
        settings["left_out"] = paths
    if method.loss.online:
        settings["teacher"] = shared.models.teacher.fingerprint
    if method.regularizer or method.loss.term_weights:
        terms = published_terms(config.terms, config.protocol, cell.dataset.name)
        settings["terms"] = dataclasses.asdict(terms)
    if method.names is Names.LIST and shared.names:
        digest = shared.names.sha256
        settings["names"] = {"sha256": digest, "keep": config.names.keep}
    if method.loss.fdbpl_weights:
        settings["fdbpl"] = dataclasses.asdict(cell.setting.fdbpl)
    return settings | _data_settings(config, shared, cell)


def _data_settings(
    config: RunConfig, shared: SharedInputs, cell: Cell
) -> dict[str, Any]:
    """What decides the training data beyond images and seed."""
    if not cell.method.reads_table or shared.table is None:
        return {"crop": dataclasses.asdict(config.ril.crop)}
    spec, reading = shared.table.spec, ("label", "access", "regions_per_epoch")
    return {
        "table": spec.fingerprint(),
        "table_made": {"dtype": spec.dtype, "cut": spec.cut, "batch": spec.batch},
        "ril": {key: getattr(config.ril, key) for key in reading},
    }


def claim(directory: Path, settings: dict[str, Any]) -> None:
    """Write the cell's settings, or refuse a cell that was made with others.

    Damaged or lost settings are written again where the results are of this cell, or
    there are none. Damaged results are removed: the cell is run again.

    Raises:
      UserError: naming the first setting that differs, and both values; or results
        that may be those of other settings, as theirs are lost.
    """
    settings = json.loads(json.dumps(settings))  # tuples become lists, as on disk
    earlier = read_settings(directory)
    if earlier is None:
        if settings_of_results(directory) not in (None, digest(settings)):
            raise UserError(
                f"'{directory}' has results, but not their settings: no config.json, "
                "or a damaged one",
                f"Restore it, use another --workdir, or remove '{directory}'.",
            )
        write_settings(directory, settings)
        earlier = settings
    for name, (before, now) in _differences(earlier, settings).items():
        raise UserError(
            f"'{directory}' was made with {name} = {before!r}, this run has {now!r}",
            f"Use another --workdir, or remove '{directory}'.",
        )
    discard_damaged(directory)


def _differences(
    before: dict[str, Any], now: dict[str, Any], where: str = ""
) -> dict[str, tuple[Any, Any]]:
    differences: dict[str, tuple[Any, Any]] = {}
    for key in sorted(before.keys() | now.keys()):
        if key not in before and where + key in _ADDED:
            continue
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            differences |= _differences(old, new, f"{where}{key}.")
        elif old != new:
            differences[where + key] = (old, new)
    return differences

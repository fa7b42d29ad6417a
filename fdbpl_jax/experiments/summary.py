"""The results of a run, and from them the rows and facts of its report."""

import dataclasses
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fdbpl_jax import device
from fdbpl_jax.clip.model import Clip
from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.types import Dataset, first_few
from fdbpl_jax.errors import one_line
from fdbpl_jax.experiments.cautions import (
    after_training,
    before_training,
    tested_parts,
    training_text,
    updates_text,
)
from fdbpl_jax.experiments.cell import OWN_TEMPLATE
from fdbpl_jax.experiments.protocols import PROTOCOLS
from fdbpl_jax.experiments.shared_inputs import STUDENT_TEMPLATE, SharedInputs
from fdbpl_jax.reports.columns import rejection_texts
from fdbpl_jax.reports.facts import RunFacts
from fdbpl_jax.reports.results import (
    AVERAGE,
    CellKey,
    CellResult,
    Rejection,
    Row,
    summarise,
)
from fdbpl_jax.shapes import embedded


class Failure(NamedTuple):
    """A cell, or all cells of a data set, that could not be run, and why."""

    what: str
    error: Exception

    def __str__(self) -> str:
        """One line."""
        return f"{self.what}: {one_line(self.error)}"


class DatasetResults(NamedTuple):
    """The results of one data set."""

    shared: SharedInputs | None  # None: it could not be prepared
    cells: list[CellResult]
    rejection: list[Rejection]
    failures: list[Failure]


class RunResults(NamedTuple):
    """The results of a run."""

    datasets: Sequence[Dataset]  # trained on or tested on
    parts: Sequence[DatasetResults]  # one per data set that is trained on

    @property
    def shared(self) -> list[SharedInputs]:
        """Of the data sets that could be prepared."""
        return [part.shared for part in self.parts if part.shared is not None]

    @property
    def cells(self) -> list[CellResult]:
        """Of all data sets."""
        return [cell for part in self.parts for cell in part.cells]

    @property
    def failures(self) -> list[Failure]:
        """Of all data sets."""
        return [failure for part in self.parts for failure in part.failures]


def rows_of(config: RunConfig, results: RunResults) -> Sequence[Row]:
    """The rows of all planned cells; also of a data set that was not prepared.

    A data set whose template is the student's has no row for it, but counts in its
    average.
    """
    cells = [cell for shared in results.shared for cell in shared.cells]
    trained = dict.fromkeys((cell.name, cell.seed) for cell in cells)
    untrained = {
        (cell.method, None): None for cell in results.cells if cell.seed is None
    }
    tested = [dataset.name for dataset in results.datasets]
    plan: list[CellKey] = [
        (name, *key) for name in tested for key in (*untrained, *trained)
    ]
    averaged = tested[len(config.data.datasets) :] or tested
    same = {d.name for d in results.datasets if d.template == STUDENT_TEMPLATE}
    if same.issuperset(averaged):
        same.add(AVERAGE)
    return [
        row
        for row in summarise(results.cells, plan, averaged)
        if row.method != OWN_TEMPLATE or row.dataset not in same
    ]


def facts_of(
    config: RunConfig,
    results: RunResults,
    rows: Sequence[Row],
    command: str,
    started: str,
) -> RunFacts:
    """What a reader needs to judge the report; `command` is as a shell reads it."""
    student, teacher = results.shared[0].models
    rejection = [line for part in results.parts for line in part.rejection]
    tested = {part: None for shared in results.shared for part in tested_parts(shared)}
    cautions = before_training(config, results.shared)
    return RunFacts(
        protocol=config.protocol,
        command=shlex.join(map(_without_folder, shlex.split(command))),
        device=device.describe(),
        versions=device.versions(),
        tables={
            shared.dataset.name: shared.table_facts
            for shared in results.shared
            if shared.table_facts
        },
        student=_model_text(student),
        teacher=_model_text(teacher),
        config=_settings(config),
        started=started,
        notes=_notes(config, results),
        failures=tuple(str(failure) for failure in results.failures),
        sizes={
            dataset.name: (len(dataset.class_names), len(dataset.test))
            for dataset in results.datasets
        },
        rejection=rejection_texts(rejection),
        tested=tuple(tested),
        load=_load(results.cells),
        cautions=(*cautions, *after_training(rows, results.cells, tuple(tested))),
    )


def _model_text(clip: Clip) -> str:
    """Its name, or that it is an embedded one, and how it begins to be told apart.

    Of a folder only the last part: a report may be shown to others.
    """
    name = Path(clip.name).name if Path(clip.name).is_dir() else clip.name
    for role in ("student", "teacher"):
        if clip.name == str(embedded(role)):
            name = "embedded"
    return f"{name} {clip.fingerprint[:12]}"


def _without_folder(text: str) -> str:
    """A setting or flag without the folder of a path: a report may be shown to others.

    Of paths that begin at the root, at home or above the working directory the last
    part is left.
    """
    flag, sign, value = text.rpartition("=")
    paths = value.split(",")
    for n, path in enumerate(paths):
        if path.startswith(("/", "~", "..")):
            paths[n] = f".../{Path(path).name}"
    return flag + sign + ",".join(paths)


def _shown(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {
        name: _without_folder(value) if isinstance(value, str) else value
        for name, value in pairs
    }


def _settings(config: RunConfig) -> tuple[tuple[str, str], ...]:
    """The settings as lines of the report."""
    fields = dataclasses.asdict(config, dict_factory=_shown)
    lines = [
        (f"{kind} of {name}", str(values))
        for kind in ("optim", "prompt")
        for name, values in fields.pop(kind)
    ]
    return (*((name, str(value)) for name, value in fields.items()), *lines)


def _notes(config: RunConfig, results: RunResults) -> tuple[str, ...]:
    spent = ", ".join(
        f"{shared.dataset.name} {shared.feature_seconds:.1f} s"
        for shared in results.shared
    )
    protocol = PROTOCOLS[config.protocol]
    how = "all classes of a data set together"
    if len(protocol.classes) > 1:
        how = "each half of the classes by itself"
    left_out = [
        f"Left out of {dataset.name} as unreadable: {len(dataset.left_out)} images: "
        f"{first_few([e.path for e in dataset.left_out], 1000)}."
        for dataset in results.datasets
        if dataset.left_out
    ]
    transfer = (
        f"Prompts are trained on {results.datasets[0].name} alone; an average is over "
        "the other data sets.",
    )
    return (
        f"Accuracy is on the {config.eval_split} images, {how}.",
        *(transfer if protocol.transfers else ()),
        f"'zero-shot' is the student asked with '{STUDENT_TEMPLATE}'; '{OWN_TEMPLATE}' "
        "asks it, and 'teacher' asks the teacher, with the data set's own template.",
        *left_out,
        f"Features of the {config.eval_split} images, once for all methods: {spent}.",
        *(text for text in map(training_text, results.shared) if text),
        *(
            f"{shared.dataset.name}, updates per training: "
            f"{updates_text(config, shared.cells)}."
            for shared in results.shared
        ),
    )


def _load(cells: Sequence[CellResult]) -> str:
    """How busy the machine was when cells began, without which times say little."""
    loads = [cell.load for cell in cells if cell.load is not None]
    if not loads:
        return ""
    return (
        f"{min(loads):.1f} to {max(loads):.1f} processes busy on {os.cpu_count()} "
        "cores when trainings began (means of a minute)"
    )

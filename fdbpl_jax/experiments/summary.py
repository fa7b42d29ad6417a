"""What a run has come to, as the rows and facts of its report."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging

from fdbpl_jax import device
from fdbpl_jax.clip.model import Clip
from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.experiments.protocols import PROTOCOLS
from fdbpl_jax.experiments.shared_inputs import STUDENT_TEMPLATE, Prepared
from fdbpl_jax.reports import results
from fdbpl_jax.reports import write as report
from fdbpl_jax.reports.rejection_text import rejection_texts
from fdbpl_jax.reports.results import CellKey, CellResult, Rejection
from fdbpl_jax.shapes.pair import embedded


class Failure(NamedTuple):
    """A cell, or all cells of a data set, that could not be run, and why."""

    what: str
    error: Exception

    def __str__(self) -> str:
        """One line."""
        return f"{self.what}: {' '.join(str(self.error).split())}"


@dataclasses.dataclass
class Found:
    """What a run has come to so far."""

    datasets: list[Dataset] = dataclasses.field(default_factory=list)
    prepared: list[Prepared] = dataclasses.field(default_factory=list)
    # Name and seed of every trained cell of a data set, in the report's order.
    planned: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    cells: list[CellResult] = dataclasses.field(default_factory=list)
    failures: list[Failure] = dataclasses.field(default_factory=list)
    rejection: list[Rejection] = dataclasses.field(default_factory=list)

    def fails(self, what: str, error: Exception) -> None:
        """Notes a failure; the run goes on."""
        self.failures.append(Failure(what, error))
        logging.error("failed: %s", self.failures[-1])


def rows_of(config: RunConfig, found: Found) -> Sequence[results.Row]:
    """The rows of all planned cells; of a data set that was not prepared, too."""
    trained = dict.fromkeys(found.planned)
    untrained = {(cell.method, None): None for cell in found.prepared[0].untrained}
    tested = [*config.data.datasets, *config.data.targets]
    plan: list[CellKey] = [
        (name, *key) for name in tested for key in (*untrained, *trained)
    ]
    return results.summarise(found.cells, plan, config.data.targets or tested)


def facts_of(
    config: RunConfig,
    found: Found,
    pair: tuple[Clip, Clip],
    command: str,
    started: str,
) -> report.RunFacts:
    """What a reader of the report needs to judge it."""
    student, teacher = pair
    return report.RunFacts(
        protocol=config.protocol,
        command=command,
        device=device.describe(),
        versions=device.versions(),
        tables={
            prepared.dataset.name: prepared.table_facts
            for prepared in found.prepared
            if prepared.table_facts
        },
        student=_model_text(student),
        teacher=_model_text(teacher),
        config=_settings(config),
        started=started,
        notes=_notes(config, found.prepared),
        failures=tuple(str(failure) for failure in found.failures),
        sizes={
            data.name: (len(data.class_names), len(data.test))
            for data in found.datasets
        },
        rejection=rejection_texts(found.rejection),
    )


def _model_text(clip: Clip) -> str:
    """Its name, or that it is an embedded one, and how it begins to be told apart.

    Of a folder the last part: a report may be shown to others.
    """
    name = Path(clip.name).name if Path(clip.name).is_dir() else clip.name
    for one in ("student", "teacher"):
        if clip.name == str(embedded(one)):
            name = "embedded"
    return f"{name} {clip.fingerprint[:12]}"


def _settings(config: RunConfig) -> tuple[tuple[str, str], ...]:
    """The settings as lines of the report."""
    fields = dataclasses.asdict(config)
    lines = [
        (f"{kind} of {name}", str(values))
        for kind in ("optim", "prompt")
        for name, values in fields.pop(kind)
    ]
    return (*((name, str(value)) for name, value in fields.items()), *lines)


def _notes(config: RunConfig, found: Sequence[Prepared]) -> tuple[str, ...]:
    spent = ", ".join(
        f"{one.dataset.name} {one.feature_seconds:.1f} s" for one in found
    )
    protocol = PROTOCOLS[config.protocol]
    how = "all classes of a data set together"
    if len(protocol.classes) > 1:
        how = "each half of the classes by itself"
    transfer = (
        f"Prompts are trained on {config.data.datasets[0]} alone; an average is over "
        "the other data sets.",
    )
    return (
        f"Accuracy is on the {config.eval_split} images, {how}.",
        *(transfer if protocol.transfers else ()),
        f"'zero-shot' is the student asked with '{STUDENT_TEMPLATE}'; the next row "
        "asks it, and 'teacher' asks the teacher, with the data set's own template.",
        f"Features of the {config.eval_split} images, once for all methods: {spent}.",
        "Training time is the wall time of the training loop with compilation, "
        "reading and checkpoints; tables and features of test images are apart.",
        "Peak memory is of the whole process so far (accelerator: of the device).",
    )

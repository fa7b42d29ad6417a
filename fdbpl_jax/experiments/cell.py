"""One cell: a data set, a method and a seed, trained, evaluated and kept.

A finished cell is read back; a killed one goes on from its last checkpoint; one that
was made with other settings is refused.
"""

import dataclasses
import functools
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from fdbpl_jax.clip.model import Clip, text_features
from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.images import content_hash
from fdbpl_jax.data.types import Dataset, prompt_name
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation import accuracy as evaluate
from fdbpl_jax.evaluation.prompted import accuracy
from fdbpl_jax.evaluation.rejection import write_rejection
from fdbpl_jax.experiments.assemble import (
    Job,
    Stage,
    first_state,
    frozen_parts,
    source_of,
    step_setup,
)
from fdbpl_jax.experiments.claim import claim
from fdbpl_jax.experiments.protocols import PROTOCOLS
from fdbpl_jax.experiments.test_sets import Exam
from fdbpl_jax.files import write_text
from fdbpl_jax.methods.method import METHODS
from fdbpl_jax.reports.results import CellResult
from fdbpl_jax.training.checkpoint import export_prompts
from fdbpl_jax.training.loop import Run, Trained, train
from fdbpl_jax.training.state import StepSetup, hyper_parameters

_RESULT = "results.jsonl"  # a line a data set that the prompts were tested on


def run_cells(run: RunConfig, stage: Stage, jobs: Sequence[Job]) -> list[CellResult]:
    """Trains and evaluates cells of one method, or reads results of an earlier run.

    Up to `run.sweep.at_once` of them are trained at once, as far as they take as many
    steps; a method that sees pixels is trained one cell at a time.

    Args:
      run: the settings.
      stage: towers, test features and table.
      jobs: the cells.

    Raises:
      UserError: a directory holds a cell of other settings, or training fails.
    """
    waiting: dict[StepSetup, list[Job]] = {}
    claim_cells(run, stage, jobs)
    for job in jobs:
        if not is_finished(job):
            waiting.setdefault(step_setup(run, stage, job), []).append(job)
    for setup, alike in waiting.items():
        at_once = run.sweep.at_once if setup.method.reads_table else 1
        for first in range(0, len(alike), at_once):
            _train_and_test(run, stage, setup, alike[first : first + at_once])
    return [cell for job in jobs for cell in _read_result(job, stage)]


def claim_cells(run: RunConfig, stage: Stage, jobs: Sequence[Job]) -> None:
    """Marks the cells' folders as those of these settings.

    Raises:
      UserError: a folder holds a cell of other settings.
    """
    for job in jobs:
        claim(job.directory, _settings(run, stage, job))


def is_finished(job: Job) -> bool:
    """Whether the cell need not be run again."""
    return (job.directory / _RESULT).exists()


def _read_result(job: Job, stage: Stage) -> list[CellResult]:
    """What a finished cell came to, on each data set that it was tested on."""
    file = job.directory / _RESULT
    lines = file.read_text().splitlines()
    cells = [CellResult.from_json(line, f"'{file}'") for line in lines]
    expected = [(exam.name, job.name, job.seed) for exam in stage.exams]
    if [cell.key for cell in cells] != expected:
        raise UserError(
            f"'{file}' holds other cells than {expected}",
            f"Remove '{job.directory}' and run again.",
        )
    return cells


def _train_and_test(
    run: RunConfig, stage: Stage, setup: StepSetup, jobs: Sequence[Job]
) -> None:
    runs = [
        Run(
            first_state(run, stage, setup, job),
            hyper_parameters(job.setting.optim, job.setting.fdbpl),
            source_of(run, stage, job),
            job.directory,
        )
        for job in jobs
    ]
    frozen = frozen_parts(run, stage, jobs[0])
    found = train(setup, runs, frozen, run.checkpoint_epochs, run.tensorboard)
    for job, trained in zip(jobs, found, strict=True):
        _finish(run, stage, job, trained)


def _finish(run: RunConfig, stage: Stage, job: Job, trained: Trained) -> None:
    """Tests the prompts and writes the cell's result, last."""
    cells = [_test(run, stage, job, trained, exam) for exam in stage.exams]
    facts = _export_facts(stage, job.dataset, _settings(run, stage, job))
    write_rejection(run, stage, job, trained.prompts)
    export_prompts(job.directory / "export", trained.prompts, facts)
    write_text(job.directory / _RESULT, "".join(cell.to_json() for cell in cells))


def _test(
    run: RunConfig, stage: Stage, job: Job, trained: Trained, exam: Exam
) -> CellResult:
    start = time.perf_counter()
    prompt, positive = run.prompt_of(job.method), trained.prompts["positive"]
    score = functools.partial(accuracy, stage, job.method, prompt, positive)
    serves_new = exam.new is not None and not prompt.class_specific
    return CellResult(
        dataset=exam.name,
        method=job.name,
        seed=job.seed,
        base=score(exam.base),
        new=score(exam.new) if serves_new else None,
        train_seconds=trained.seconds,
        wait_seconds=trained.waited,
        test_seconds=time.perf_counter() - start,
        steps=trained.steps,
        trained_values=trained_values(trained.prompts),
        peak_memory_bytes=peak_memory_bytes(),
    )


def zero_shot(name: str, clip: Clip, template: str, exam: Exam) -> CellResult:
    """Accuracy of hand-written text, on the same images as the trained cells."""
    start = time.perf_counter()
    scores = [
        held
        and evaluate.accuracy(
            held.features,
            held.labels,
            _clip_text(clip, template, held.dataset.class_names),
        )
        for held in (exam.base, exam.new)
    ]
    return CellResult(
        dataset=exam.name,
        method=name,
        seed=None,
        base=scores[0],
        new=scores[1],
        train_seconds=0.0,
        wait_seconds=0.0,
        test_seconds=time.perf_counter() - start,
        steps=0,
        trained_values=0,
        peak_memory_bytes=peak_memory_bytes(),
    )


def trained_values(prompts: dict[str, Any]) -> int:
    """How many numbers are learned; PromptKD's running mean and variance are not."""
    learned = {
        branch: {name: part for name, part in prompt.items() if name != "running"}
        for branch, prompt in prompts.items()
    }
    return sum(leaf.size for leaf in jax.tree.leaves(learned))


def peak_memory_bytes() -> int:
    """The most memory used so far: the accelerator's, or on a CPU the process's."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return int(stats["peak_bytes_in_use"])
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _clip_text(clip: Clip, template: str, names: tuple[str, ...]):
    return text_features(clip, [template.format(prompt_name(n)) for n in names])


def _settings(run: RunConfig, stage: Stage, job: Job) -> dict[str, Any]:
    """All that decides the cell's numbers, as JSON values."""
    method = METHODS[job.method]
    settings = {
        "dataset": job.dataset.name,
        "method": job.method,
        "seed": job.seed,
        "class_names": job.dataset.class_names,
        "student": stage.student.fingerprint,
        "dtype": stage.student.dtype,
        "classes": PROTOCOLS[run.protocol].classes[0],
        "shots": job.setting.shots,
        "tested": [exam.name for exam in stage.exams],
        "eval_split": run.eval_split,
        "prompt": dataclasses.asdict(run.prompt_of(job.method)),
        "optim": dataclasses.asdict(job.setting.optim),
    }
    if method.online:
        settings["teacher"] = stage.teacher.fingerprint
    if method.term or method.loss == "promptkd":
        settings["terms"] = dataclasses.asdict(run.terms)
    if method.names == "list":
        names = content_hash(Path(), run.names.file)
        settings["names"] = {"sha256": names, "keep": run.names.keep}
    if not method.reads_table:
        settings["crop"] = dataclasses.asdict(run.ril.crop)
    else:
        spec = stage.table.spec
        settings["table"] = spec.fingerprint()
        settings["table_made"] = {"dtype": spec.dtype, "cut": spec.cut}
        reading = ("label", "access", "regions_per_epoch")
        settings["ril"] = {key: getattr(run.ril, key) for key in reading}
    if method.loss == "fdbpl":
        settings["fdbpl"] = dataclasses.asdict(job.setting.fdbpl)
    return settings


def _export_facts(
    stage: Stage, dataset: Dataset, settings: dict[str, Any]
) -> dict[str, Any]:
    return {
        "class_names": list(dataset.class_names),
        "template": dataset.template,
        "student": {"name": stage.student.name, "sha256": stage.student.fingerprint},
        "teacher": {"name": stage.teacher.name, "sha256": stage.teacher.fingerprint},
        "config": settings,
    }

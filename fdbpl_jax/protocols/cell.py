"""One cell: a data set, a method and a seed, trained, evaluated and kept.

A finished cell is read back; a killed one goes on from its last checkpoint; one that
was made with other settings is refused.
"""

import dataclasses
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fdbpl_jax import evaluate, methods
from fdbpl_jax.checkpoint import export_prompts
from fdbpl_jax.clip.model import Clip
from fdbpl_jax.clip.model import text_features as clip_text_features
from fdbpl_jax.config import PromptConfig, RunConfig
from fdbpl_jax.data.pipeline import epoch_steps
from fdbpl_jax.data.types import Dataset, prompt_name
from fdbpl_jax.files import write_text
from fdbpl_jax.prompts.coop import class_layout, init_context, text_features
from fdbpl_jax.protocols.claim import claim
from fdbpl_jax.results import CellResult
from fdbpl_jax.ril.table import Table
from fdbpl_jax.sources import online_source, table_source
from fdbpl_jax.step import Frozen, StepSetup, hyper_parameters, init_state
from fdbpl_jax.sweep import Setting
from fdbpl_jax.train import Run, Source, Trained, train

_text_features = jax.jit(text_features, static_argnames="text")


class Half(NamedTuple):
    """Test images of the base or the new classes: names, features [N D], labels [N]."""

    class_names: tuple[str, ...]
    features: np.ndarray
    labels: np.ndarray


class Stage(NamedTuple):
    """What all cells of one data set share."""

    student: Clip
    teacher: Clip
    base: Half
    new: Half
    table: Table | None


class Job(NamedTuple):
    """A cell to be run.

    method: one of `RunConfig.methods`. setting: of a sweep, or the only one. seed: of
    shots, initialisation and order. dataset: the base classes, with the training images
    of this seed. directory: of the cell.
    """

    method: str
    setting: Setting
    seed: int
    dataset: Dataset
    directory: Path

    @property
    def name(self) -> str:
        """The method as reports call it."""
        return f"{self.method} {self.setting.name}".strip()


def run_cells(run: RunConfig, stage: Stage, jobs: Sequence[Job]) -> list[CellResult]:
    """Trains and evaluates cells of one method, or reads results of an earlier run.

    Up to `run.sweep.at_once` of them are trained at once, as far as they take as many
    steps; a method whose teacher is online is trained one cell at a time.

    Args:
      run: the settings.
      stage: towers, test features and table.
      jobs: the cells.

    Raises:
      UserError: a directory holds a cell of other settings, or training fails.
    """
    waiting: dict[StepSetup, list[Job]] = {}
    for job in jobs:
        claim(job.directory, _settings(run, stage, job))
        if not (job.directory / "result.json").exists():
            waiting.setdefault(_setup(run, stage, job), []).append(job)
    for setup, alike in waiting.items():
        at_once = 1 if setup.method.online else run.sweep.at_once
        for first in range(0, len(alike), at_once):
            _train_and_test(run, stage, setup, alike[first : first + at_once])
    files = [job.directory / "result.json" for job in jobs]
    return [CellResult.from_json(file.read_text()) for file in files]


def _train_and_test(
    run: RunConfig, stage: Stage, setup: StepSetup, jobs: Sequence[Job]
) -> None:
    hypers = [hyper_parameters(j.setting.optim, j.setting.fdbpl) for j in jobs]
    runs = [
        Run(
            init_state(setup, _init_prompts(run, stage, setup, job)),
            hyper,
            _source(run, stage, job),
            job.directory,
        )
        for job, hyper in zip(jobs, hypers, strict=True)
    ]
    frozen = Frozen(
        stage.student.params["text"],
        jnp.exp(stage.student.params["logit_scale"]),
        _layout(stage, run.prompt, stage.base),
        hypers[0],
    )
    found = train(setup, runs, frozen, run.checkpoint_epochs, run.tensorboard)
    for job, trained in zip(jobs, found, strict=True):
        _finish(run, stage, job, trained)


def _finish(run: RunConfig, stage: Stage, job: Job, trained: Trained) -> None:
    """Tests the prompts and writes the cell's result, last."""
    start = time.perf_counter()
    positive = trained.prompts["positive"]
    base = _accuracy(stage, run.prompt, positive, stage.base)
    serves_new = not run.prompt.class_specific
    new = _accuracy(stage, run.prompt, positive, stage.new) if serves_new else None
    result = CellResult(
        dataset=job.dataset.name,
        method=job.name,
        seed=job.seed,
        base=base,
        new=new,
        train_seconds=trained.seconds,
        test_seconds=time.perf_counter() - start,
        steps=trained.steps,
        peak_memory_bytes=peak_memory_bytes(),
    )
    facts = _export_facts(stage, job.dataset, _settings(run, stage, job))
    export_prompts(job.directory / "export", trained.prompts, facts)
    write_text(job.directory / "result.json", result.to_json())


def zero_shot(
    name: str, clip: Clip, template: str, dataset: str, base: Half, new: Half
) -> CellResult:
    """Accuracy of hand-written text, on the same images as the trained cells."""
    start = time.perf_counter()
    scores = [
        evaluate.accuracy(
            half.features,
            half.labels,
            _clip_text(clip, template, half.class_names),
        )
        for half in (base, new)
    ]
    return CellResult(
        dataset=dataset,
        method=name,
        seed=None,
        base=scores[0],
        new=scores[1],
        train_seconds=0.0,
        test_seconds=time.perf_counter() - start,
        steps=0,
        peak_memory_bytes=peak_memory_bytes(),
    )


def peak_memory_bytes() -> int:
    """The most memory used so far: the accelerator's, or on a CPU the process's."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return int(stats["peak_bytes_in_use"])
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _clip_text(clip: Clip, template: str, names: tuple[str, ...]):
    return clip_text_features(clip, [template.format(prompt_name(n)) for n in names])


def _setup(run: RunConfig, stage: Stage, job: Job) -> StepSetup:
    optim, method = job.setting.optim, methods.METHODS[job.method]
    views = 1 if method.online else run.ril.regions_per_epoch
    batch, steps = epoch_steps(len(job.dataset.train) * views, optim.batch_size)
    return StepSetup(
        text=stage.student.config.text,
        classes=len(job.dataset.class_names),
        method=method,
        # The rate is given to the step: with others it is the same program.
        optim=dataclasses.replace(optim, batch_size=batch, lr=0.0),
        weight_from=run.fdbpl.weight_from,
        label=run.ril.label,
        steps_per_epoch=steps,
    )


def _init_prompts(run: RunConfig, stage: Stage, setup: StepSetup, job: Job) -> dict:
    starts = {"positive": run.prompt.init}
    if setup.method.negative:
        starts["negative"] = run.prompt.negative_init
    keys = jax.random.split(jax.random.key(job.seed), 2)
    return {
        branch: init_context(
            key,
            stage.student.params["text"],
            stage.student.tokenizer,
            run.prompt,
            words,
            len(job.dataset.class_names),
        )
        for key, (branch, words) in zip(keys, starts.items(), strict=False)
    }


def _layout(stage: Stage, prompt: PromptConfig, half: Half):
    names = [prompt_name(name) for name in half.class_names]
    return class_layout(
        stage.student.tokenizer, stage.student.config.text, names, prompt
    )


def _source(run: RunConfig, stage: Stage, job: Job) -> Source:
    optim, dataset = job.setting.optim, job.dataset
    if methods.METHODS[job.method].online:
        towers = stage.student, stage.teacher
        return online_source(*towers, dataset, run.ril.crop, optim, job.seed)
    return table_source(stage.table, dataset.train, optim, run.ril, job.seed)


def _accuracy(stage: Stage, prompt: PromptConfig, context: dict, half: Half) -> float:
    text = _text_features(
        stage.student.config.text,
        stage.student.params["text"],
        _layout(stage, prompt, half),
        context,
    )
    return evaluate.accuracy(half.features, half.labels, text)


def _settings(run: RunConfig, stage: Stage, job: Job) -> dict[str, Any]:
    """All that decides the cell's numbers, as JSON values."""
    method = methods.METHODS[job.method]
    settings = {
        "dataset": job.dataset.name,
        "method": job.method,
        "seed": job.seed,
        "class_names": job.dataset.class_names,
        "student": stage.student.fingerprint,
        "dtype": stage.student.dtype,
        "shots": run.data.shots,
        "eval_split": run.eval_split,
        "prompt": dataclasses.asdict(run.prompt),
        "optim": dataclasses.asdict(job.setting.optim),
    }
    if method.online:
        settings["teacher"] = stage.teacher.fingerprint
        settings["crop"] = dataclasses.asdict(run.ril.crop)
    else:
        spec = stage.table.spec
        settings["table"] = spec.fingerprint()
        settings["table_made"] = {"dtype": spec.dtype, "cut": spec.cut}
        reading = ("label", "access", "regions_per_epoch")
        settings["ril"] = {key: getattr(run.ril, key) for key in reading}
    if method.objective == "fdbpl":
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

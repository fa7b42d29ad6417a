"""From settings, models and a job to what `train` takes: setup, prompts, data."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fdbpl_jax.clip.layout import PromptLayout, make_name_list
from fdbpl_jax.clip.model import Clip, text_features, unit
from fdbpl_jax.config import PromptConfig, RunConfig
from fdbpl_jax.data.names import read_names
from fdbpl_jax.data.pipeline import epoch_steps
from fdbpl_jax.data.types import Dataset, prompt_name
from fdbpl_jax.experiments.sweep import Setting
from fdbpl_jax.experiments.test_sets import Exam
from fdbpl_jax.learners.coop import class_layout, negative_prompt
from fdbpl_jax.learners.learner import Classes, Student, init_prompt
from fdbpl_jax.learners.promptkd import init_running
from fdbpl_jax.losses.templates import TEMPLATES
from fdbpl_jax.methods.method import METHODS, Method
from fdbpl_jax.ril.table import Table
from fdbpl_jax.training.loop import Source
from fdbpl_jax.training.sources import region_source, table_source, view_source
from fdbpl_jax.training.state import Frozen, StepSetup, TrainState, hyper_parameters
from fdbpl_jax.training.step import init_state


class Stage(NamedTuple):
    """What all cells of one data set share; `exams` as the student sees it."""

    student: Clip
    teacher: Clip
    exams: tuple[Exam, ...]
    table: Table | None


class Job(NamedTuple):
    """A cell to be run.

    method: one of `RunConfig.methods`. setting: of a sweep, or the only one. seed: of
    shots, initialisation and order. dataset: the classes and images that it is trained
    on. directory: of the cell.
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


def step_setup(run: RunConfig, stage: Stage, job: Job) -> StepSetup:
    """What the job's step is compiled for."""
    optim, method = job.setting.optim, METHODS[job.method]
    views = run.ril.regions_per_epoch if method.reads_table else 1
    batch, steps = epoch_steps(len(job.dataset.train) * views, optim.batch_size)
    return StepSetup(
        student=student_of(stage.student),
        classes=_kept_names(run, method) or len(job.dataset.class_names),
        method=method,
        # The rate is given to the step: with others it is the same program.
        optim=dataclasses.replace(optim, batch_size=batch, lr=0.0),
        terms=run.terms,
        weight_from=run.fdbpl.weight_from,
        label=run.ril.label,
        steps_per_epoch=steps,
    )


def student_of(clip: Clip) -> Student:
    """As far as a program is compiled for it."""
    return Student(clip.config, clip.image)


def first_state(run: RunConfig, stage: Stage, setup: StepSetup, job: Job) -> TrainState:
    """Where the job's training starts."""
    student, method, prompt = stage.student, setup.method, run.prompt_of(job.method)
    branches = {"positive": (method.learner, prompt)}
    if method.negative:
        branches["negative"] = "coop", negative_prompt(student.tokenizer, prompt)
    keys = jax.random.split(jax.random.key(job.seed), 2)
    joint = stage.teacher.config.projection
    prompts = {
        branch: init_prompt(
            key,
            learner,
            student.config,
            student.params,
            student.tokenizer,
            own,
            len(job.dataset.class_names),
            joint,
        )
        for key, (branch, (learner, own)) in zip(keys, branches.items(), strict=False)
    }
    running = init_running(joint) if method.learner == "promptkd" else None
    return init_state(setup, prompts, running)


def frozen_parts(run: RunConfig, stage: Stage, job: Job) -> Frozen:
    """What the job's training reads and never changes."""
    student, method = stage.student, METHODS[job.method]
    prompt, names = run.prompt_of(job.method), _names(run, job)
    classes = classes_of(stage, job.method, prompt, job.dataset, names)
    negative = None
    if method.negative:
        # Both prompts go through the tower in one pass where they stand alike.
        other = negative_prompt(student.tokenizer, prompt)
        alike = method.learner == "coop" and _places(prompt) == _places(other)
        negative = None if alike else _layout(student, names, other)
    layouts = [classes.layout, negative]
    if method.names == "list":
        layouts = [x if x is None else make_name_list(x) for x in layouts]
    towers = {"text": student.params["text"]}
    if method.prompts_images:
        towers["vision"] = student.params["vision"]
    # On the device once, not with every step.
    return jax.device_put(
        Frozen(
            towers=towers,
            scale=jnp.exp(student.params["logit_scale"]),
            layout=layouts[0],
            negative=layouts[1],
            classes=classes.text,
            written=_written(student, method, job.dataset),
            hyper=hyper_parameters(job.setting.optim, job.setting.fdbpl),
        )
    )


def classes_of(
    stage: Stage,
    method: str,
    prompt: PromptConfig,
    dataset: Dataset,
    names: Sequence[str],
) -> Classes:
    """The classes as the method's learner tells them apart.

    Args:
      stage: the models.
      method: one of `METHODS`.
      prompt: its settings.
      dataset: whose template the teacher is asked with.
      names: of the classes.
    """
    learner = METHODS[method].learner
    words = [prompt_name(name) for name in names]
    if learner == "promptkd":
        texts = [dataset.template.format(word) for word in words]
        return Classes(None, text_features(stage.teacher, texts))
    if learner == "vpt":
        texts = [f"{prompt.init} {word}.".strip() for word in words]
        return Classes(None, text_features(stage.student, texts))
    return Classes(_layout(stage.student, names, prompt), None)


def source_of(run: RunConfig, stage: Stage, job: Job) -> Source:
    """The job's training data, at their start."""
    optim, method = job.setting.optim, METHODS[job.method]
    if method.reads_table and method.prompts_images:
        student, dataset = stage.student, job.dataset
        return region_source(stage.table, dataset, student, optim, run.ril, job.seed)
    if method.reads_table:
        return table_source(stage.table, job.dataset.train, optim, run.ril, job.seed)
    class_text = None
    if method.online:
        template = "a photo of a {}." if method.names == "list" else None
        template = template or job.dataset.template
        texts = [template.format(prompt_name(name)) for name in _names(run, job)]
        class_text = text_features(stage.teacher, texts)
    return view_source(
        method,
        stage.student,
        stage.teacher,
        class_text,
        _kept_names(run, method),
        job.dataset,
        run.ril.crop,
        optim,
        job.seed,
    )


def _names(run: RunConfig, job: Job) -> tuple[str, ...]:
    """Of what is told apart in training."""
    if METHODS[job.method].names == "list":
        return read_names(Path(run.names.file))
    return job.dataset.class_names


def _kept_names(run: RunConfig, method: Method) -> int:
    """Names of a list that a batch is distilled on; 0: it has no list."""
    if method.names != "list":
        return 0
    return min(run.names.keep, len(read_names(Path(run.names.file))))


def _layout(clip: Clip, names: Sequence[str], prompt: PromptConfig) -> PromptLayout:
    words = [prompt_name(name) for name in names]
    return class_layout(clip.tokenizer, clip.config.text, words, prompt)


def _places(prompt: PromptConfig) -> tuple[Any, ...]:
    return prompt.context_length, prompt.position, prompt.class_specific


def _written(student: Clip, method: Method, dataset: Dataset) -> jax.Array | None:
    """Features of the hand-written texts that the method's term holds on to."""
    if not method.term:
        return None
    templates = TEMPLATES if method.term == "promptsrc" else (dataset.template,)
    words = [prompt_name(name) for name in dataset.class_names]
    features = [
        text_features(student, [template.format(word) for word in words])
        for template in templates
    ]
    return unit(jnp.mean(jnp.stack(features), axis=0))

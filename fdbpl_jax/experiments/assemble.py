"""What `train` takes of a cell: setup, initial state, frozen parts, data."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from fdbpl_jax.clip.layout import make_name_list
from fdbpl_jax.clip.model import Clip, text_features, unit
from fdbpl_jax.config import PromptConfig, RunConfig
from fdbpl_jax.data.types import written_texts
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.cells import Cell, batches_of
from fdbpl_jax.experiments.shared_inputs import SharedInputs
from fdbpl_jax.learners.coop import COOP, negative_prompt
from fdbpl_jax.learners.learner import Models, Prompts, Start, init_prompt
from fdbpl_jax.losses.loss import terms_left_out
from fdbpl_jax.methods.published import published_terms
from fdbpl_jax.methods.table import Names
from fdbpl_jax.training.loop import Source
from fdbpl_jax.training.schedule import schedule_of
from fdbpl_jax.training.sources import (
    TrainingData,
    region_source,
    table_source,
    view_source,
)
from fdbpl_jax.training.state import (
    Frozen,
    Hyper,
    StepSetup,
    TrainState,
    hyper_parameters,
    init_state,
)
from fdbpl_jax.training.step import run_steps

# KDPL asks its teacher so for names that are no classes of a data set.
_LIST_TEMPLATE = "a photo of a {}."


def step_setup(config: RunConfig, models: Models, cell: Cell) -> StepSetup:
    """What the cell's step is compiled for.

    Raises:
      UserError: the method learns from labels that training images lack.
    """
    optim, method = cell.setting.optim, cell.method
    if method.loss.labels and not all(x.is_labelled for x in cell.dataset.train):
        raise UserError(
            f"{method.name} learns from labels, and training images have none",
            "Use a method that learns from the teacher, such as coop+fdbpl.",
        )
    batch, steps = batches_of(config, cell)
    regularizer = method.regularizer
    terms = published_terms(config.terms, config.protocol, cell.dataset.name)
    averages = regularizer is not None and regularizer.averages
    return StepSetup(
        student=models.static,
        classes=_distilled(config, cell) or len(cell.dataset.class_names),
        method=method,
        schedule=schedule_of(optim, steps),
        batch_size=batch,
        averaging=(terms.promptsrc_mean, terms.promptsrc_std) if averages else None,
        terms=terms,
        sparse_weight=method.loss.sparse_weight or config.fdbpl.weight_from == "sparse",
        label=config.ril.label,
        left_out=_left_out(cell),
    )


def _left_out(cell: Cell) -> frozenset[str]:
    """FDBPL's terms of weight 0; weights that are not only change an argument."""
    if not cell.method.loss.fdbpl_weights:
        return frozenset()
    return terms_left_out(cell.setting.fdbpl)


def hyper_of(config: RunConfig, cell: Cell) -> Hyper:
    """The cell's rate and loss weights."""
    return hyper_parameters(cell.setting.optim.lr, cell.setting.fdbpl)


def initial_state(models: Models, setup: StepSetup, cell: Cell) -> TrainState:
    """Where the cell's training starts."""
    learner, tokenizer = cell.method.learner, models.student.tokenizer
    branches = [(learner, cell.prompt)]
    if cell.method.loss.negative:
        branches.append((COOP, negative_prompt(tokenizer, cell.prompt)))
    teacher_width = models.teacher.config.projection
    config, params = models.student.config, models.student.params
    classes = len(cell.dataset.class_names)
    keys = jax.random.split(jax.random.key(cell.seed), 2)
    prompts = []
    for key, (branch_learner, prompt) in zip(keys, branches, strict=False):
        start = Start(config, params, tokenizer, prompt, classes, teacher_width)
        prompts.append(init_prompt(key, branch_learner, start))
    running = learner.init_running(teacher_width) if learner.init_running else None
    return init_state(setup, Prompts(*prompts), running)


def frozen_parts(models: Models, cell: Cell) -> Frozen:
    """What the cell's training reads and never changes."""
    student, learner = models.student, cell.method.learner
    template = cell.dataset.template
    classes = learner.classes(models, cell.prompt, template, cell.names)
    layouts = [classes.layout, None]
    if cell.method.loss.negative:
        negative = negative_prompt(student.tokenizer, cell.prompt)
        # Both prompts go through the tower in one pass where they stand alike.
        if not (learner.context_only and _places(cell.prompt) == _places(negative)):
            layouts[1] = COOP.classes(models, negative, template, cell.names).layout
    if cell.method.names is Names.LIST:
        layouts = [x if x is None else make_name_list(x) for x in layouts]
    towers = {"text": student.params["text"]}
    if learner.prompts_images:
        towers["vision"] = student.params["vision"]
    # On the device once, not with every step.
    return jax.device_put(
        Frozen(
            towers=towers,
            scale=jnp.exp(student.params["logit_scale"]),
            layout=layouts[0],
            negative=layouts[1],
            classes=classes.text,
            written=_hand_written(student, cell),
        )
    )


def source_of(config: RunConfig, shared: SharedInputs, cell: Cell) -> Source:
    """The cell's training data, at their start."""
    data = TrainingData(cell.dataset, cell.setting.optim, config.ril, cell.seed)
    method, models = cell.method, shared.models
    if shared.table is not None and method.reads_table:
        if method.learner.prompts_images:
            return region_source(shared.table, data, models)
        return table_source(shared.table, data)
    teacher_text = _teacher_text(models.teacher, cell) if method.loss.online else None
    return view_source(data, method, models, teacher_text, _distilled(config, cell))


def compile_steps(
    config: RunConfig, shared: SharedInputs, cells: Sequence[Cell]
) -> None:
    """Run the first call of every kind of cell and drop its result.

    With `device.keep_compiled` other processes find the programs. Those of several
    runs at once (`sweep.at_once`) are others and are not made here.
    """
    models = shared.models
    kinds = {step_setup(config, models, cell): cell for cell in cells}
    for setup, cell in kinds.items():
        source = source_of(config, shared, cell)
        batches = source.prepare(next(source.loader))
        state, hyper = initial_state(models, setup, cell), hyper_of(config, cell)
        run_steps(setup, state, hyper, frozen_parts(models, cell), batches)


def _teacher_text(teacher: Clip, cell: Cell) -> jax.Array:
    template = cell.dataset.template
    if cell.method.names is Names.LIST:
        template = _LIST_TEMPLATE
    return text_features(teacher, written_texts(template, cell.names))


def _distilled(config: RunConfig, cell: Cell) -> int:
    """Names of a list that each batch is distilled on; 0: there is no list."""
    if cell.method.names is not Names.LIST:
        return 0
    return min(config.names.keep, len(cell.names))


def _places(prompt: PromptConfig) -> tuple[Any, ...]:
    return prompt.context_length, prompt.position, prompt.class_specific


def _hand_written(student: Clip, cell: Cell) -> jax.Array | None:
    """Features of the hand-written texts that the regularizer stays near."""
    regularizer = cell.method.regularizer
    if regularizer is None:
        return None
    features = [
        text_features(student, written_texts(template, cell.dataset.class_names))
        for template in regularizer.templates or (cell.dataset.template,)
    ]
    return unit(jnp.mean(jnp.stack(features), axis=0))

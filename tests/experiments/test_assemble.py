"""What training is given for a cell: where it starts, and what it stays near."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.protocol_runs import small

from fdbpl_jax.clip.model import text_features, unit
from fdbpl_jax.data.types import UNLABELLED, Example, prompt_name
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.assemble import frozen_parts, initial_state, step_setup
from fdbpl_jax.experiments.cells import load_inputs, plan_cells
from fdbpl_jax.experiments.settings import run_config
from fdbpl_jax.experiments.shared_inputs import dataset_of
from fdbpl_jax.learners.coop import COOP, negative_prompt
from fdbpl_jax.learners.learner import Start, init_prompt
from fdbpl_jax.losses.regularizers import PROMPTSRC

METHODS = "coop,coop+fdbpl,promptsrc,kgcoop,prograd"


@pytest.fixture(scope="module", name="plan")
def _plan(tmp_path_factory):
    """Settings, models, and the cells of the second seed by method."""
    workdir = tmp_path_factory.mktemp("assemble")
    changes = {"methods": METHODS, "seeds": (2,), "terms.promptsrc_mean": 1.5}
    config = run_config(small("base2new", **changes))
    dataset, inputs = (
        dataset_of(config, "shapes-negative", workdir),
        load_inputs(config),
    )
    cells = plan_cells(config, dataset, inputs, workdir)
    return config, inputs.models, {cell.method.name: cell for cell in cells}


@pytest.mark.parametrize("name", ["promptsrc", "kgcoop", "prograd"])
def test_regularizers_stay_near_their_own_hand_written_texts(plan, name):
    _, models, cells = plan
    cell = cells[name]
    templates = PROMPTSRC.templates if name == "promptsrc" else [cell.dataset.template]
    words = [prompt_name(word) for word in cell.dataset.class_names]
    texts = [
        text_features(models.student, [template.format(word) for word in words])
        for template in templates
    ]
    expected = unit(jnp.mean(jnp.stack(texts), axis=0))
    written = frozen_parts(models, cell).written
    np.testing.assert_allclose(written, expected, atol=1e-6)


def test_methods_without_a_regularizer_have_no_hand_written_text(plan):
    _, models, cells = plan
    assert frozen_parts(models, cells["coop"]).written is None


def test_only_what_averages_is_given_an_average(plan):
    config, models, cells = plan
    setups = {name: step_setup(config, models, cell) for name, cell in cells.items()}
    averaging = {name: setup.averaging for name, setup in setups.items()}
    assert averaging.pop("promptsrc") == (1.5, 1.0)
    assert set(averaging.values()) == {None}


def test_the_seeds_first_key_is_the_positive_prompts(plan):
    config, models, cells = plan
    cell = cells["coop+fdbpl"]
    setup, student = step_setup(config, models, cell), models.student
    prompt = dataclasses.replace(cell.prompt, init="")
    cell = cell._replace(prompt=prompt)
    prompts = initial_state(models, setup, cell).prompts
    for key, settings, branch in zip(
        jax.random.split(jax.random.key(2)),
        (prompt, negative_prompt(student.tokenizer, prompt)),
        prompts,
        strict=True,
    ):
        towers = student.config, student.params, student.tokenizer
        width = models.teacher.config.projection
        start = Start(*towers, settings, len(cell.names), width)
        expected = init_prompt(key, COOP, start)
        np.testing.assert_array_equal(branch.context, expected.context)
    assert np.abs(prompts.positive.context - prompts.negative.context).max() > 0.01


def test_a_loss_of_labels_is_refused_images_without(plan):
    """Their label, -1, would be the last class."""
    config, models, cells = plan
    dataset = cells["coop"].dataset
    train = (*dataset.train, Example("x.png", UNLABELLED))
    dataset = dataclasses.replace(dataset, train=train)
    step_setup(config, models, cells["coop+fdbpl"]._replace(dataset=dataset))
    with pytest.raises(UserError, match="coop learns from labels"):
        step_setup(config, models, cells["coop"]._replace(dataset=dataset))

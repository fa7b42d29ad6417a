"""Methods that do badly on the embedded world do so in PyTorch as well.

The program's own start, data and schedule, and the same batches for a plain
transcription: 20 updates with the same losses.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.clip.image import normalise
from fdbpl_jax.data.types import prompt_name
from fdbpl_jax.experiments.assemble import (
    frozen_parts,
    hyper_of,
    initial_state,
    source_of,
    step_setup,
)
from fdbpl_jax.experiments.cells import load_inputs
from fdbpl_jax.experiments.settings import default_config, run_config
from fdbpl_jax.experiments.shared_inputs import dataset_of, prepare
from fdbpl_jax.learners.coop import class_row, negative_prompt
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.training.state import RegionBatch
from fdbpl_jax.training.step import _from_regions, run_steps

torch = pytest.importorskip("torch")

from support.torch_side import Rival, learnable, tensor, updates  # noqa: E402

from benchmarks.torch_reference.learners import Texts, Towers  # noqa: E402
from benchmarks.torch_reference.prompts import to_torch_pixels  # noqa: E402
from benchmarks.torch_reference.towers import image_tower, text_tower  # noqa: E402

STEPS = 20
BAD = ("vpt", "promptsrc", "maple+fdbpl", "promptkd-inductive")


@pytest.fixture(scope="module", name="stand")
def _stand(tmp_path_factory):
    """A run's settings, and its models and data."""
    settings = default_config()
    settings.methods, settings.seeds = ",".join(BAD), (1,)
    settings.data.shots, settings.optim.warmup_epochs = 4, 0
    settings.ril.regions = 5
    config, workdir = run_config(settings), tmp_path_factory.mktemp("bad")
    dataset = dataset_of(config, "shapes-negative", workdir)
    return config, prepare(config, dataset, (), load_inputs(config), workdir)


def texts(clip, names, prompt):
    fixed = clip.tokenizer(prompt.init)["input_ids"][1:-1][prompt.context_length :]
    ids = np.zeros((len(names), 77), np.int64)
    slot, eos = np.full_like(ids, -1), []
    for row, name in enumerate(names):
        own = class_row(
            clip.tokenizer, clip.config.text, prompt_name(name), prompt, fixed
        )
        ids[row, : len(own[0])], slot[row, : len(own[1])] = own
        eos.append(len(own[0]) - 1)
    return Texts(tensor(ids), tensor(slot), torch.tensor(eos))


@pytest.mark.parametrize("name", BAD)
def test_twenty_updates_on_the_programs_own_batches(stand, name):
    config, shared = stand
    (cell,) = (cell for cell in shared.cells if cell.method.name == name)
    models, method = shared.models, METHODS[name]
    setup = step_setup(config, models, cell)
    state, frozen = initial_state(models, setup, cell), frozen_parts(models, cell)
    start = jax.device_get(state.prompts)
    source = source_of(config, shared, cell)
    calls = [source.prepare(next(source.loader)) for _ in range(STEPS)]
    stacked = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *calls)
    _, metrics = run_steps(setup, state, hyper_of(config, cell), frozen, stacked)

    batches = [jax.tree.map(lambda array: array[0], batch) for batch in calls]
    batches = [
        _from_regions(setup, batch) if isinstance(batch, RegionBatch) else batch
        for batch in batches
    ]
    clip, names = models.student, cell.dataset.class_names
    negative = negative_prompt(clip.tokenizer, cell.prompt)
    rival = Rival(
        towers=Towers(
            image_tower(clip.config.vision, clip.params["vision"]),
            text_tower(clip.config.text, clip.params["text"]),
        ),
        texts=None if frozen.classes is not None else texts(clip, names, cell.prompt),
        negative=texts(clip, names, negative),
        fixed=None if frozen.classes is None else tensor(frozen.classes),
        written=None if frozen.written is None else tensor(frozen.written),
        scale=float(frozen.scale),
        weights=config.fdbpl,
        terms=config.terms,
    )
    pixels = [
        to_torch_pixels(np.array(normalise(clip.image, batch.pixels)))
        for batch in batches
    ]
    theirs, _ = updates(method, rival, learnable(start), pixels, batches, metrics["lr"])
    assert np.ptp(theirs) > 0.05 * np.mean(np.abs(theirs))
    np.testing.assert_allclose(metrics["loss"], theirs, rtol=1e-3, atol=1e-3)

import contextlib
import dataclasses
import json
import shutil

import grain
import jax
import numpy as np
import pytest
from support import steps

from fdbpl_jax.errors import UserError
from fdbpl_jax.training import loop
from fdbpl_jax.training.loop import Run, Saving, Source, train
from fdbpl_jax.training.state import init_state
from fdbpl_jax.training.step import run_steps

EPOCHS = 6


class Killed(BaseException):
    """Stands for a kill: nothing in the program catches it."""


def source(kill_at=None, spoil_at=None):
    def epoch(number):
        batch = steps.regions(3, 5, seed=number)
        if number == spoil_at:
            batch.feature[1] = np.nan
        return {"number": number, **batch._asdict()}

    loader = iter(grain.MapDataset.range(EPOCHS).map(epoch).to_iter_dataset())

    def prepare(element):
        if element.pop("number") == kill_at:
            raise Killed
        return steps.RegionBatch(**element)

    return Source(loader, 1, prepare)


def run(directory, **faults):
    setup = steps.setup_of("coop+fdbpl", epochs=EPOCHS)
    state = init_state(setup, steps.prompts(setup))
    one = Run(state, steps.hyper(), source(**faults), directory)
    return train(setup, [one], steps.frozen(), Saving(2))[0]


def test_progress_tells_of_every_step(tmp_path, monkeypatch):
    told = []

    @contextlib.contextmanager
    def progress(title, total, unit):
        told.append((title, total, unit))
        yield told.append

    monkeypatch.setattr(loop, "progress", progress)
    run(tmp_path / "dtd" / "coop" / "seed1")
    assert told[0] == ("dtd/coop/seed1", 18, "step")
    assert told[1:] == [3] * EPOCHS


def lines(directory):
    text = (directory / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("kill_at", [0, 1, 3, 5])
def test_a_killed_run_goes_on_to_the_same_prompts(tmp_path, kill_at):
    whole = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "killed", kill_at=kill_at)
    resumed = run(tmp_path / "killed")
    jax.tree.map(np.testing.assert_array_equal, whole.prompts, resumed.prompts)
    assert resumed.steps == whole.steps == 18
    kept, expected = lines(tmp_path / "killed"), lines(tmp_path / "whole")
    assert [line["step"] for line in kept] == list(range(18))
    assert [line["loss"] for line in kept] == [line["loss"] for line in expected]


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = run(tmp_path)
    again = run(tmp_path, kill_at=0)
    jax.tree.map(np.testing.assert_array_equal, first.prompts, again.prompts)
    assert again.seconds == first.seconds


def test_a_loss_that_is_not_finite_is_refused_and_the_checkpoint_kept(tmp_path):
    with pytest.raises(UserError, match=r"loss is nan at step 10 \(epoch 3\)"):
        run(tmp_path, spoil_at=3)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["2"]
    assert run(tmp_path).steps == 18


def run_two(directory, **faults):
    """Two runs of other rates at once; `faults` are the second one's."""
    setup = steps.setup_of("coop+fdbpl", epochs=EPOCHS)
    runs = [
        Run(init_state(setup, steps.prompts(setup, i)), steps.hyper(lr), data, where)
        for i, (lr, data, where) in enumerate(
            [
                (0.1, source(), directory / "first"),
                (0.05, source(**faults), directory / "second"),
            ]
        )
    ]
    return train(setup, runs, steps.frozen(), Saving(2))


def test_runs_at_once_are_killed_and_go_on_together(tmp_path):
    whole = run_two(tmp_path / "whole")
    with pytest.raises(Killed):
        run_two(tmp_path / "killed", kill_at=3)
    resumed = run_two(tmp_path / "killed")
    for one, other in zip(whole, resumed, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one.prompts, other.prompts)
    alone = run(tmp_path / "alone")
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        alone.prompts,
        whole[0].prompts,
    )
    assert [line["step"] for line in lines(tmp_path / "killed" / "second")] == [
        *range(18)
    ]


def test_runs_that_have_come_differently_far_all_end(tmp_path):
    """A kill between the checkpoints of the one and the other."""
    whole = run_two(tmp_path / "whole")
    with pytest.raises(Killed):
        run_two(tmp_path / "killed", kill_at=5)
    shutil.rmtree(tmp_path / "killed" / "second" / "checkpoints" / "4")
    resumed = run_two(tmp_path / "killed")
    for one, other in zip(whole, resumed, strict=True):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
            one.prompts,
            other.prompts,
        )
    assert [trained.steps for trained in resumed] == [18, 18]


def test_a_loss_that_is_not_finite_names_its_run(tmp_path):
    with pytest.raises(UserError, match=r"loss is nan at step 10 .*second"):
        run_two(tmp_path, spoil_at=3)


def averaging(directory):
    setup = dataclasses.replace(
        steps.setup_of("coop+fdbpl", epochs=EPOCHS), averaging=(2.0, 1.0)
    )
    state = init_state(setup, steps.prompts(setup))
    alone = Run(state, steps.hyper(), source(), directory)
    return train(setup, [alone], steps.frozen(), Saving(1))[0]


def test_the_result_is_the_average_over_epochs_where_there_is_one(tmp_path):
    """Weights of a Gaussian around the second epoch, of prompts after each epoch."""
    ends = []
    for epoch in range(1, EPOCHS + 1):
        setup = steps.setup_of("coop+fdbpl", epochs=EPOCHS)
        state = init_state(setup, steps.prompts(setup))
        batches = [steps.regions(3, 5, seed=number) for number in range(epoch)]
        for batch in batches:
            state, _ = run_steps(setup, state, steps.hyper(), steps.frozen(), batch)
        ends.append(jax.device_get(state.prompts))
    weights = np.exp(-0.5 * (np.arange(1, EPOCHS + 1) - 2.0) ** 2)
    weights /= weights.sum()
    result = averaging(tmp_path).prompts
    for branch in ("positive", "negative"):
        expected = sum(
            weight * getattr(prompts, branch).context
            for weight, prompts in zip(weights, ends, strict=True)
        )
        context = getattr(result, branch).context
        np.testing.assert_allclose(context, expected, rtol=1e-5, atol=1e-6)
    plain = run(tmp_path / "plain").prompts.positive.context
    np.testing.assert_allclose(plain, ends[-1].positive.context, rtol=1e-5, atol=1e-6)


def test_running_statistics_are_no_prompt_and_come_with_the_result(tmp_path):
    setup = steps.setup_of("coop+fdbpl", epochs=EPOCHS)
    running = np.arange(5, dtype=np.float32)
    state = init_state(setup, steps.prompts(setup), running)
    alone = Run(state, steps.hyper(), source(), tmp_path)
    result = train(setup, [alone], steps.frozen(), Saving(2))[0]
    np.testing.assert_array_equal(result.running, running)
    values = sum(leaf.size for leaf in jax.tree.leaves(result.prompts))
    assert values == 2 * steps.LENGTH * steps.WIDTH

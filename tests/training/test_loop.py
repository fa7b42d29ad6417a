import json
import shutil

import grain
import jax
import numpy as np
import pytest
from support import steps

from fdbpl_jax.errors import UserError
from fdbpl_jax.learners import promptkd
from fdbpl_jax.training.loop import Run, Saving, Source, final_prompts, train
from fdbpl_jax.training.state import init_state

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


def state_of(**parts):
    setup = steps.setup_of("coop+fdbpl")
    return init_state(setup, steps.prompts(setup))._replace(**parts)


def test_promptsrc_ends_with_its_average():
    average = steps.prompts(steps.setup_of("coop+fdbpl"), seed=7)
    assert final_prompts(state_of(average=average)) is average
    plain = state_of()
    assert final_prompts(plain) is plain.prompts


def test_running_statistics_stand_beside_the_prompts():
    found = final_prompts(state_of(running=promptkd.init_running(5)))
    # Two contexts of two tokens of width 8, and no statistics.
    assert sum(leaf.size for leaf in jax.tree.leaves(found)) == 32

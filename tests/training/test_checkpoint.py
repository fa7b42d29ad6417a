import shutil

import grain
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.errors import UserError
from fdbpl_jax.training.checkpoint import Checkpoints, export_prompts, load_prompts

NOTHING = {"seconds": 0.0, "waited": 0.0}


def loader():
    return iter(grain.MapDataset.range(100).shuffle(seed=3).repeat().to_iter_dataset())


def state(value):
    return {"context": jnp.full((2, 3), value), "step": jnp.int32(value)}


def test_restore_gives_back_state_loader_and_time(tmp_path):
    first = loader()
    for _ in range(5):
        next(first)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(4, state(7), first, {"seconds": 1.5, "waited": 0.5})
    second = loader()
    with Checkpoints(tmp_path) as checkpoints:
        restored, epoch, spent = checkpoints.restore(state(0), second)
    assert (epoch, spent) == (4, {"seconds": 1.5, "waited": 0.5})
    np.testing.assert_array_equal(restored["context"], state(7)["context"])
    assert [next(second) for _ in range(9)] == [next(first) for _ in range(9)]


def test_without_a_checkpoint_the_state_is_the_given_one(tmp_path):
    start = state(1)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore(start, loader()) == (start, 0, NOTHING)


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for epoch in (1, 2, 3):
            checkpoints.save(epoch, state(epoch), loader(), NOTHING)
        restored, epoch, _ = checkpoints.restore(state(0), loader())
    assert epoch == 3
    assert int(restored["step"]) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3"]


def test_export_round_trip(tmp_path):
    prompts = {"positive": {"context": jnp.arange(6.0).reshape(2, 3)}}
    prompts["negative"] = {"context": -prompts["positive"]["context"]}
    export_prompts(tmp_path / "export", prompts, {"class_names": ["a", "b"]})
    loaded, facts = load_prompts(tmp_path / "export")
    assert facts["class_names"] == ["a", "b"]
    for branch in prompts:
        np.testing.assert_array_equal(
            loaded[branch]["context"], prompts[branch]["context"]
        )


def test_an_export_without_its_facts_is_none(tmp_path):
    export_prompts(tmp_path / "export", {"positive": {"context": jnp.ones(2)}}, {})
    (tmp_path / "export" / "prompts.json").unlink()
    with pytest.raises(UserError, match="no exported prompts"):
        load_prompts(tmp_path / "export")


@pytest.mark.parametrize(
    "saved",
    [
        {"context": jnp.ones((2, 3)), "step": jnp.int32(1), "count": jnp.int32(1)},
        {"context": jnp.ones((2, 3))},
    ],
    ids=["more", "less"],
)
def test_a_state_of_another_version_is_refused(tmp_path, saved):
    with Checkpoints(tmp_path / "cell") as checkpoints:
        checkpoints.save(4, saved, loader(), NOTHING)
    with (
        Checkpoints(tmp_path / "cell") as checkpoints,
        pytest.raises(UserError, match=r"epoch 4 .*cell' does not hold this run's"),
    ):
        checkpoints.restore(state(0), loader())


def test_a_full_disk_is_one_line_and_nothing_of_orbax(tmp_path, monkeypatch):
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with (
        Checkpoints(tmp_path / "checkpoints") as checkpoints,
        pytest.raises(UserError, match=r"write .*checkpoints': No space left on"),
    ):
        checkpoints.save(1, state(1), loader(), NOTHING)
    assert not list((tmp_path / "checkpoints").iterdir())
    with pytest.raises(UserError, match=r"write .*export': No space left on device"):
        export_prompts(tmp_path / "export", {"positive": state(1)}, {})


def test_what_orbax_cannot_write_is_a_message(tmp_path, monkeypatch):
    def fails(*arguments, **settings):
        raise ValueError("RESOURCE_EXHAUSTED: Failed to write 9 bytes\n[source]")

    with Checkpoints(tmp_path) as checkpoints:
        monkeypatch.setattr(
            checkpoints._checkpointer, "save_checkpointables", fails, raising=True
        )
        with pytest.raises(UserError, match="RESOURCE_EXHAUSTED: Failed to write 9"):
            checkpoints.save(1, state(1), loader(), NOTHING)

import json
import shutil

import grain
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.errors import UserError
from fdbpl_jax.training import checkpoint
from fdbpl_jax.training.checkpoint import Checkpoints, export_prompts, load_prompts

NOTHING = {"seconds": 0.0, "waited": 0.0}


def loader():
    return iter(grain.MapDataset.range(100).shuffle(seed=3).repeat().to_iter_dataset())


def state(value):
    return {"context": jnp.full((2, 3), value), "step": jnp.int32(value)}


def saved(folder, *epochs, identity=""):
    checkpoints = Checkpoints(folder, identity)
    for epoch in epochs:
        checkpoints.save(epoch, state(epoch), loader(), NOTHING)
    return checkpoints


def epoch_of(checkpoints):
    """Where `restore` goes on; the state must be that of the epoch."""
    restored, epoch, _ = checkpoints.restore(state(0), loader())
    assert int(restored["step"]) == epoch
    np.testing.assert_array_equal(restored["context"], state(epoch)["context"])
    return epoch


def flip(file, place=0.5):
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 1
    file.write_bytes(content)


def test_restore_gives_back_state_loader_and_time(tmp_path):
    first = loader()
    for _ in range(5):
        next(first)
    Checkpoints(tmp_path).save(4, state(7), first, {"seconds": 1.5, "waited": 0.5})
    second = loader()
    restored, epoch, spent = Checkpoints(tmp_path).restore(state(0), second)
    assert (epoch, spent) == (4, {"seconds": 1.5, "waited": 0.5})
    np.testing.assert_array_equal(restored["context"], state(7)["context"])
    assert [next(second) for _ in range(9)] == [next(first) for _ in range(9)]


def test_without_a_checkpoint_the_state_is_the_given_one(tmp_path):
    start = state(1)
    assert Checkpoints(tmp_path).restore(start, loader()) == (start, 0, NOTHING)


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    checkpoints = saved(tmp_path, 1, 2, 3)
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
    "other",
    [
        {"context": jnp.ones((2, 3)), "step": jnp.int32(1), "count": jnp.int32(1)},
        {"context": jnp.ones((2, 3))},
    ],
    ids=["more", "less"],
)
def test_a_state_of_another_version_is_refused(tmp_path, other):
    checkpoints = Checkpoints(tmp_path / "cell")
    checkpoints.save(4, other, loader(), NOTHING)
    with pytest.raises(UserError, match=r"epoch 4 .*cell' does not hold this run's"):
        checkpoints.restore(state(0), loader())


def test_a_full_disk_is_one_line_and_nothing_of_orbax(tmp_path, monkeypatch):
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(UserError, match=r"write .*checkpoints': No space left on"):
        saved(tmp_path / "checkpoints", 1)
    assert not list((tmp_path / "checkpoints").iterdir())
    with pytest.raises(UserError, match=r"write .*export': No space left on device"):
        export_prompts(tmp_path / "export", {"positive": state(1)}, {})


def test_what_orbax_cannot_write_is_a_message(tmp_path, monkeypatch):
    def fails(*arguments, **settings):
        raise ValueError("RESOURCE_EXHAUSTED: Failed to write 9 bytes\n[source]")

    monkeypatch.setattr(checkpoint.ocp, "save_checkpointables", fails, raising=True)
    with pytest.raises(UserError, match="RESOURCE_EXHAUSTED: Failed to write 9"):
        saved(tmp_path, 1)


def test_a_flipped_bit_of_any_file_falls_back_to_the_checkpoint_before(
    tmp_path, caplog
):
    saved(tmp_path / "cell", 4, 8)
    files = [f for f in (tmp_path / "cell" / "8").rglob("*") if f.is_file()]
    assert len(files) > 10
    for file in filter(lambda file: file.stat().st_size, files):
        content = file.read_bytes()
        flip(file)
        caplog.clear()
        assert epoch_of(Checkpoints(tmp_path / "cell")) == 4
        (record,) = caplog.records
        assert "cell/8' is damaged" in record.message
        file.write_bytes(content)
    assert epoch_of(Checkpoints(tmp_path / "cell")) == 8


def test_a_lost_or_an_added_file_falls_back_too(tmp_path):
    saved(tmp_path, 4, 8)
    file = next((tmp_path / "8").rglob("_METADATA"))
    file.rename(file.with_name("more"))
    assert epoch_of(Checkpoints(tmp_path)) == 4


def test_where_no_checkpoint_is_whole_training_starts_again(tmp_path, caplog):
    checkpoints = saved(tmp_path, 4, 8)
    for record in tmp_path.glob("*/checkpoint.json"):
        record.unlink()
    start = state(1)
    assert checkpoints.restore(start, loader()) == (start, 0, NOTHING)
    assert "no whole checkpoint" in caplog.text
    checkpoints.save(4, state(4), loader(), NOTHING)
    assert epoch_of(checkpoints) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["4"]


def test_a_checkpoint_of_another_cell_or_epoch_is_not_taken(tmp_path):
    for cell in ("one", "other"):
        saved(tmp_path / cell, 4, 8, identity=cell)
    (tmp_path / "one" / "8").rename(tmp_path / "kept")
    shutil.copytree(tmp_path / "other" / "8", tmp_path / "one" / "8")
    assert epoch_of(Checkpoints(tmp_path / "one", "one")) == 4
    (tmp_path / "other" / "8").rename(tmp_path / "other" / "12")
    assert epoch_of(Checkpoints(tmp_path / "other", "other")) == 4
    assert Checkpoints(tmp_path / "other").restore(state(0), loader())[1] == 0


def test_a_save_that_was_killed_is_no_checkpoint_and_is_cleared(tmp_path):
    checkpoints = saved(tmp_path, 4)
    shutil.copytree(tmp_path / "4", tmp_path / ".8.abc.tmp")
    (tmp_path / ".8.abc.tmp" / "checkpoint.json").unlink()
    assert epoch_of(checkpoints) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["4"]


@pytest.fixture(name="export")
def _export(tmp_path):
    prompts = {"positive": {"context": jnp.arange(6.0).reshape(2, 3)}}
    export_prompts(tmp_path / "export", prompts, {"class_names": ("a", "b")})
    return tmp_path / "export"


def test_a_flipped_bit_of_any_file_of_an_export_is_refused(export):
    load_prompts(export)
    for file in [f for f in export.rglob("*") if f.is_file() and f.stat().st_size]:
        content = file.read_bytes()
        flip(file)
        with pytest.raises(UserError, match="export' are damaged"):
            load_prompts(export)
        file.write_bytes(content)
    load_prompts(export)


def test_exchanged_prompts_of_two_exports_are_refused(export, tmp_path):
    other = {"positive": {"context": jnp.zeros((2, 3))}}
    export_prompts(tmp_path / "other", other, {})
    shutil.rmtree(export / "prompts")
    shutil.copytree(tmp_path / "other" / "prompts", export / "prompts")
    with pytest.raises(UserError, match="are not those that were written"):
        load_prompts(export)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 2}', '{"format": 1}', "é"])
def test_an_export_with_broken_facts_is_refused(export, content):
    (export / "prompts.json").write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match="export' are damaged"):
        load_prompts(export)


def test_exports_of_earlier_versions_are_read_and_those_of_later_ones_are_not(export):
    facts = json.loads((export / "prompts.json").read_text())
    facts["format"] = 1
    del facts["files"], facts["sha256"]
    (export / "prompts.json").write_text(json.dumps(facts))
    prompts, read = load_prompts(export)
    np.testing.assert_array_equal(prompts["positive"]["context"][1], [3, 4, 5])
    assert read["class_names"] == ["a", "b"]
    (export / "prompts.json").write_text(json.dumps(facts | {"format": 3}))
    with pytest.raises(UserError, match="has export format 3"):
        load_prompts(export)

"""One valid JSON line a step, whatever happened to the run before."""

import json
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.errors import UserError
from fdbpl_jax.training.metrics import MetricsWriter, epoch_times


def _lines(directory: Path) -> list[dict]:
    text = (directory / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def _write(writer: MetricsWriter, step: int, values: dict):
    writer.write_many(step, {k: np.asarray([v]) for k, v in values.items()})


def _write_steps(directory: Path, first: int, last: int, loss: float, resume: int):
    with MetricsWriter(directory, tensorboard=False, resume_step=resume) as writer:
        for step in range(first, last):
            _write(writer, step, {"loss": loss})


def test_a_line_a_step(tmp_path):
    folder = tmp_path / "new" / "cell"
    with MetricsWriter(folder, tensorboard=False) as writer:
        _write(writer, 0, {"epoch": 0, "loss": jnp.float32(0.5)})
        _write(writer, 1, {"epoch": np.int64(0), "loss": np.float32(0.25)})
    assert _lines(folder) == [
        {"step": 0, "epoch": 0, "loss": 0.5},
        {"step": 1, "epoch": 0, "loss": 0.25},
    ]


def test_an_epoch_of_stacked_steps(tmp_path):
    with MetricsWriter(tmp_path, tensorboard=False) as writer:
        writer.write_many(
            4, {"epoch": 2, "loss": jnp.array([1.0, 2.0]), "n": np.ones(2)}
        )
    assert _lines(tmp_path) == [
        {"step": 4, "epoch": 2, "loss": 1.0, "n": 1.0},
        {"step": 5, "epoch": 2, "loss": 2.0, "n": 1.0},
    ]


def test_stacked_steps_must_be_of_one_length(tmp_path):
    with (
        MetricsWriter(tmp_path, tensorboard=False) as writer,
        pytest.raises(ValueError, match=r"loss \(2,\), lr \(3,\)"),
    ):
        writer.write_many(0, {"loss": np.ones(2), "lr": np.ones(3)})


def test_what_is_written_is_there_before_the_writer_closes(tmp_path):
    with MetricsWriter(tmp_path, tensorboard=False) as writer:
        _write(writer, 0, {"loss": 1.0})
        assert len(_lines(tmp_path)) == 1


def test_a_resumed_run_has_each_step_once(tmp_path):
    _write_steps(tmp_path, 0, 7, loss=1.0, resume=0)  # checkpoint at 4, killed at 7
    _write_steps(tmp_path, 4, 9, loss=2.0, resume=4)
    assert [line["step"] for line in _lines(tmp_path)] == list(range(9))
    assert [line["loss"] for line in _lines(tmp_path)] == [1.0] * 4 + [2.0] * 5
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_run_from_the_start_keeps_nothing(tmp_path):
    _write_steps(tmp_path, 0, 3, loss=1.0, resume=0)
    _write_steps(tmp_path, 0, 1, loss=2.0, resume=0)
    assert _lines(tmp_path) == [{"step": 0, "loss": 2.0}]


@pytest.mark.parametrize("torn", ['{"step": 3, "lo', '{"step": 3, "loss": 1.0}', "{"])
def test_a_torn_last_line_is_dropped(tmp_path, torn):
    _write_steps(tmp_path, 0, 3, loss=1.0, resume=0)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(torn)
    _write_steps(tmp_path, 3, 5, loss=2.0, resume=3)
    assert [line["step"] for line in _lines(tmp_path)] == list(range(5))


@pytest.mark.parametrize("line", ["loss 1.0", "[1]", '{"loss": 1.0}', "null"])
def test_a_strange_line_is_named_and_the_file_left_alone(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 0}}\n{line}\n{{"step": 1}}\n')
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"metrics.jsonl, line 2,"):
        MetricsWriter(tmp_path, tensorboard=False, resume_step=1)
    assert path.read_bytes() == before


def test_steps_only_go_forward(tmp_path):
    with MetricsWriter(tmp_path, tensorboard=False, resume_step=5) as writer:
        with pytest.raises(ValueError, match="step 4 comes after step 4"):
            _write(writer, 4, {"loss": 1.0})
        _write(writer, 5, {"loss": 1.0})
        with pytest.raises(ValueError, match="step 5 comes after step 5"):
            _write(writer, 5, {"loss": 1.0})
    assert [line["step"] for line in _lines(tmp_path)] == [5]


def test_numbers_json_does_not_have_are_null(tmp_path):
    with MetricsWriter(tmp_path, tensorboard=False) as writer:
        writer.write_many(0, {"loss": np.array([np.nan, np.inf, 1.0])})
    text = (tmp_path / "metrics.jsonl").read_text()
    assert "NaN" not in text
    assert [line["loss"] for line in _lines(tmp_path)] == [None, None, 1.0]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told(tmp_path):
    with MetricsWriter(tmp_path, tensorboard=False) as writer:
        writer._file.close()
        writer._file = open("/dev/full", "ab", buffering=0)  # noqa: SIM115
        with pytest.raises(UserError, match=r"cannot write to .*No space left"):
            _write(writer, 0, {"loss": 1.0})


def test_a_path_that_is_a_file_is_told(tmp_path):
    (tmp_path / "cell").write_text("")
    with pytest.raises(UserError, match="cannot write to"):
        MetricsWriter(tmp_path / "cell", tensorboard=False)


def test_tensorboard_has_the_scalars(tmp_path):
    pytest.importorskip("tensorboardX")
    with MetricsWriter(tmp_path, tensorboard=True) as writer:
        writer.write_many(3, {"loss": np.array([0.5, 0.25])})
    assert _events(tmp_path) == [("loss", 3, 0.5), ("loss", 4, 0.25)]
    assert [line["step"] for line in _lines(tmp_path)] == [3, 4]


def test_tensorboard_hides_steps_that_are_run_again(tmp_path):
    pytest.importorskip("tensorboardX")
    with MetricsWriter(tmp_path, tensorboard=True, resume_step=6):
        pass
    restarts = [e.step for e in _raw_events(tmp_path) if e.session_log.status == 1]
    assert restarts == [6]  # SessionLog.START: TensorBoard drops steps from here on


def test_missing_tensorboard_is_told_before_anything_is_touched(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r"pip install fdbpl-jax\[tensorboard\]"):
        MetricsWriter(tmp_path / "cell", tensorboard=True)
    assert not (tmp_path / "cell").exists()
    with MetricsWriter(tmp_path / "cell", tensorboard=False):
        pass


def test_times_of_epochs_leave_out_the_first(tmp_path):
    with MetricsWriter(tmp_path, tensorboard=False) as writer:
        for epoch, seconds in enumerate((9.0, 0.5, 0.75, 0.25)):
            values = {"loss": np.zeros(2), "epoch": epoch, "epoch_seconds": seconds}
            writer.write_many(2 * epoch, values)
    assert epoch_times(tmp_path) == (4, 9.0, 0.5)
    with MetricsWriter(tmp_path, tensorboard=False, resume_step=2):
        pass
    assert epoch_times(tmp_path) == (1, 9.0, 9.0)


def _raw_events(directory: Path) -> list:
    """The records of the one event file: length, crc, data, crc."""
    from tensorboardX.proto.event_pb2 import Event

    (path,) = (directory / "tensorboard").iterdir()
    data, events = path.read_bytes(), []
    while data:
        size = int.from_bytes(data[:8], "little")
        events.append(Event.FromString(data[12 : 12 + size]))
        data = data[16 + size :]
    return events


def _events(directory: Path) -> list[tuple[str, int, float]]:
    return [
        (value.tag, event.step, value.simple_value)
        for event in _raw_events(directory)
        for value in event.summary.value
    ]

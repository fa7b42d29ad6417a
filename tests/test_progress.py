import io
import sys

import pytest
from absl import logging

from fdbpl_jax import progress


@pytest.fixture
def lines(monkeypatch):
    """Log lines, on a clock that goes on 4 seconds each time it is read."""
    found, clock = [], iter(range(0, 1000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(logging, "info", lambda text, *rest: found.append(text % rest))
    return found


def test_logs_now_and_then_where_there_is_no_terminal(lines):
    with progress.progress("table", 1000, "region") as update:
        for _ in range(7):
            update(50)
    assert lines == [
        "table: 150 of 1000 regions, 12 regions/s, 68 s to finish",
        "table: 300 of 1000 regions, 12 regions/s, 56 s to finish",
    ]


def test_shows_a_bar_on_a_terminal(lines, monkeypatch):
    monkeypatch.undo()
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.progress("table", 200, "region") as update:
        update(200)
    assert "200/200" in terminal.getvalue()
    assert "region/s" in terminal.getvalue()
    assert not lines

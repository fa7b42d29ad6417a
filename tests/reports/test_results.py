"""Rows against sums done by hand."""

import dataclasses
import json
import math

import pytest
from support.cells import summarise

from fdbpl_jax.errors import UserError
from fdbpl_jax.reports.results import AVERAGE, CellResult


def cell(dataset, method, seed, base, new, train=1.0, compiling=0.5, memory=100):
    return CellResult(
        dataset=dataset,
        method=method,
        seed=seed,
        base=float(base),
        new=None if new is None else float(new),
        train_seconds=float(train),
        epochs_seconds=float(train),
        compile_seconds=float(compiling),
        steps=10,
        wait_seconds=0.0,
        trained_values=4,
        memory_bytes=memory,
    )


def test_a_row_over_two_seeds():
    (row,) = summarise(
        [
            cell("pets", "coop", 1, 60, 30, train=2, compiling=9, memory=7),  # HM 40
            cell("pets", "coop", 2, 80, 80, train=4, compiling=2, memory=5),  # HM 80
        ]
    )
    assert (row.dataset, row.method, row.seeds, row.expected) == ("pets", "coop", 2, 2)
    assert (row.base_mean, row.new_mean, row.hm) == (70.0, 55.0, 60.0)
    # Sample standard deviation of two values: |a - b| / √2.
    assert row.base_std == pytest.approx(20 / math.sqrt(2))
    assert row.new_std == pytest.approx(50 / math.sqrt(2))
    assert row.hm_std == pytest.approx(40 / math.sqrt(2))
    assert row.hm_of_means == pytest.approx(2 * 70 * 55 / 125)  # 61.6, not 60
    assert (row.train_seconds, row.compile_seconds, row.memory_bytes) == (3, 9, 7)


def test_times_are_medians_of_the_seeds_with_the_fastest_and_the_slowest():
    cells = [cell("a", "m", s, 50, 50, train=t) for s, t in enumerate((9, 2, 3))]
    cells += [cell("b", "m", s, 50, 50, train=t) for s, t in enumerate((5, 5, 5))]
    times = [(r.epochs_seconds, r.epochs_min, r.epochs_max) for r in summarise(cells)]
    assert times == [(3, 2, 9), (5, 5, 5), (4, None, None)]  # the last is the average


def test_times_that_a_cell_does_not_know_are_left_out():
    known = cell("a", "m", 0, 50, 50, train=3)
    older = known.replaced({"seed": 1, "epochs_seconds": None, "memory_bytes": None})
    (row,) = summarise([known, older])
    assert (row.epochs_seconds, row.epochs_min, row.memory_bytes) == (None, None, None)
    assert row.train_seconds == 3


def test_a_cell_of_an_earlier_version_is_read():
    text = json.dumps(
        {
            **{"dataset": "a", "method": "m", "seed": 1, "base": 50.0, "new": 40.0},
            **{"train_seconds": 9.0, "wait_seconds": 0.5, "test_seconds": 0.25},
            **{"steps": 10, "trained_values": 4, "peak_memory_bytes": 100},
        }
    )
    parsed = CellResult.from_json(text)
    assert (parsed.train_seconds, parsed.epochs_seconds, parsed.load) == (
        9.0,
        None,
        None,
    )


def test_spread_of_three_seeds_divides_by_two():
    (row,) = summarise([cell("a", "m", s, b, 50) for s, b in enumerate((1, 2, 6))])
    assert row.base_std == pytest.approx(math.sqrt((4 + 1 + 9) / 2))


def test_one_seed_has_no_spread():
    (row,) = summarise([cell("pets", "zero-shot", None, 60, 30)])
    assert (row.base_std, row.new_std, row.hm_std) == (None, None, None)
    assert (row.base_mean, row.hm, row.seeds) == (60.0, pytest.approx(40.0), 1)


def test_two_conventions_of_the_average():
    rows = summarise([cell("a", "m", 0, 60, 30), cell("b", "m", 0, 90, 90)])
    assert [row.dataset for row in rows] == ["a", "b", AVERAGE]
    average = rows[-1]
    assert (average.base_mean, average.new_mean) == (75.0, 60.0)
    assert average.hm == pytest.approx((40 + 90) / 2)  # KDPL, FDBPL
    assert average.hm_of_means == pytest.approx(2 * 75 * 60 / 135)  # CoCoOp: 66.7
    assert (average.base_std, average.new_std, average.hm_std) == (None, None, None)


def test_published_averages_of_the_two_conventions():
    # MaPLe reports 78.55 for 82.28 and 75.14: the HM of the means.
    rows = summarise(
        [cell("a", "maple", 0, 92.28, 65.14), cell("b", "maple", 0, 72.28, 85.14)]
    )
    assert rows[-1].hm_of_means == pytest.approx(78.55, abs=0.005)
    assert rows[-1].hm == pytest.approx(77.28, abs=0.005)


def test_a_data_set_counts_once_whatever_its_seeds():
    cells = [cell("a", "m", s, 10, 10) for s in (0, 1)] + [cell("b", "m", 0, 40, 40)]
    assert summarise(cells)[-1].base_mean == 25.0


def test_one_data_set_has_no_average():
    rows = summarise([cell("a", "m", 0, 1, 1), cell("a", "n", 0, 1, 1)])
    assert [(row.dataset, row.method) for row in rows] == [("a", "m"), ("a", "n")]


def test_rows_keep_the_order_first_seen():
    cells = [cell(d, m, 0, 1, 1) for m in ("z", "coop") for d in ("pets", "aircraft")]
    found = [(row.dataset, row.method) for row in summarise(cells)]
    data = ("pets", "aircraft", AVERAGE)
    assert found == [(d, m) for d in data for m in ("z", "coop")]


def test_a_method_that_cannot_serve_new_classes():
    cells = [cell(d, "csc", s, 60, None) for d in "ab" for s in (0, 1)]
    cells += [cell(d, "coop", s, 60, 30) for d in "ab" for s in (0, 1)]
    rows = {(row.dataset, row.method): row for row in summarise(cells)}
    for dataset in ("a", "b", AVERAGE):
        row = rows[dataset, "csc"]
        assert row.base_mean == 60.0
        assert {row.new_mean, row.new_std, row.hm, row.hm_std, row.hm_of_means} == {
            None
        }
        assert rows[dataset, "coop"].hm == pytest.approx(40.0)


def test_a_lost_seed_is_counted():
    cells = [cell(d, "m", s, 50, 50) for d in "ab" for s in (0, 1, 2)]
    cells += [cell(d, "zero-shot", None, 50, 50) for d in "ab"]
    del cells[4]  # b, m, seed 1
    rows = {(r.dataset, r.method): (r.seeds, r.expected) for r in summarise(cells)}
    assert rows == {
        ("a", "m"): (3, 3),
        ("a", "zero-shot"): (1, 1),
        ("b", "m"): (2, 3),
        ("b", "zero-shot"): (1, 1),
        (AVERAGE, "m"): (2, 3),
        (AVERAGE, "zero-shot"): (1, 1),
    }


def test_a_lost_data_set_leaves_the_average_empty():
    cells = [cell(d, m, 0, 50, 50) for d in "abc" for m in ("m", "n")]
    del cells[3]  # b, n
    rows = {(row.dataset, row.method): row for row in summarise(cells)}
    lost, average = rows["b", "n"], rows[AVERAGE, "n"]
    for row in (lost, average):
        assert (row.seeds, row.expected) == (0, 1)
        numbers = dataclasses.astuple(row)[4:]
        assert set(numbers) == {None}
    assert rows[AVERAGE, "m"].base_mean == 50.0


def test_an_average_is_over_all_data_sets_or_none():
    plan = [("a", "m", 0), ("a", "n", 0), ("b", "n", 0)]  # m is not meant for b
    rows = summarise([cell(*key, 50, 50) for key in plan], plan)
    averages = {row.method: row.base_mean for row in rows if row.dataset == AVERAGE}
    assert averages == {"m": None, "n": 50.0}


def test_new_of_some_is_not_the_new_of_all():
    rows = summarise([cell("a", "m", 0, 50, 50), cell("b", "m", 0, 50, None)])
    assert (rows[0].hm, rows[2].base_mean) == (50.0, 50.0)
    assert {rows[2].new_mean, rows[2].hm, rows[2].hm_of_means} == {None}


def test_a_plan_shows_what_no_cell_tells_of():
    plan = [(d, "m", s) for d in "ab" for s in (0, 1)]
    rows = summarise([cell("a", "m", 1, 50, 50)], plan)
    assert [(r.dataset, r.seeds, r.expected) for r in rows] == [
        ("a", 1, 2),
        ("b", 0, 2),
        (AVERAGE, 0, 2),
    ]


def test_a_cell_that_comes_twice_or_from_nowhere_is_a_mistake():
    one = cell("a", "m", 0, 50, 50)
    with pytest.raises(ValueError, match="twice"):
        summarise([one, cell("a", "m", 0, 51, 50)])
    with pytest.raises(ValueError, match="twice"):
        summarise([one, one])
    with pytest.raises(ValueError, match="not planned"):
        summarise([one], [("a", "m", 1)])


def test_no_cells_no_rows():
    assert summarise([]) == []


@pytest.mark.parametrize(
    "one", [cell("a", "m", 3, 100 / 3, 2 / 7), cell("ä", "z", None, 1, None, train=0)]
)
def test_json_gives_the_cell_back(one):
    assert CellResult.from_json(one.to_json()) == one


def test_json_takes_a_whole_number_for_a_float():
    text = cell("a", "m", 0, 50, 25).to_json().replace("50.0", "50")
    assert CellResult.from_json(text).base == 50.0


@pytest.mark.parametrize(
    "change",
    [
        {"base": "50"},
        {"base": None},
        {"base": True},
        {"base": 100.5},
        {"new": -1.0},
        {"new": math.nan},
        {"seed": 1.0},
        {"steps": 1.5},
        {"steps": -1},
        {"train_seconds": math.inf},
        {"peak_memory_bytes": -1},
        {"method": None},
        {"extra": 1},
    ],
)
def test_json_that_is_no_cell_is_refused(change):
    fields = json.loads(cell("a", "m", 0, 50, 50).to_json()) | change
    with pytest.raises(
        UserError, match=r"cells/results\.jsonl is not a whole cell"
    ) as e:
        CellResult.from_json(json.dumps(fields), "cells/results.jsonl")
    (name,) = change
    finite = not any(
        isinstance(v, float) and not math.isfinite(v) for v in change.values()
    )
    assert name in str(e.value) or not finite  # NaN is no JSON at all
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"dataset": "a"}'])
def test_json_that_is_cut_short_is_refused(text):
    with pytest.raises(UserError, match="not a whole cell result"):
        CellResult.from_json(text)


def test_a_nan_accuracy_is_no_result():
    with pytest.raises(UserError, match="cell a, m, seed 0: base is nan"):
        cell("a", "m", 0, math.nan, 50)

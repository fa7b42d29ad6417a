import dataclasses
import threading
import time

import numpy as np
import pytest

from fdbpl_jax.errors import UserError
from fdbpl_jax.ril.reader import EpochPlan, epoch_iterator, regions_read
from fdbpl_jax.ril.table import Table, open_table

ROWS = np.array([5, 30, 2, 17, 8, 39, 21])
LABELS = np.arange(7, dtype=np.int32) * 10
PLAN = EpochPlan(epochs=5, regions_per_epoch=2, batch_size=4, access="slab", seed=0)


def arrays(table):
    found = {name: array.read().result() for name, array in table.arrays.items()}
    return {name.split("/")[0]: value for name, value in found.items()}


def regions_of(table, epoch):
    """Which (row, slot) each entry of an epoch is, found by its feature."""
    whole = arrays(table)["feature"]
    flat = whole.reshape(-1, whole.shape[-1])
    place = {feature.tobytes(): i for i, feature in enumerate(flat)}
    features = epoch["feature"].reshape(-1, whole.shape[-1])
    return np.array([divmod(place[f.tobytes()], whole.shape[1]) for f in features])


@pytest.mark.parametrize("access", ["slab", "random"])
def test_an_epoch_holds_the_rows_it_names(table, access):
    plan = dataclasses.replace(PLAN, access=access)
    whole = arrays(table)
    for epoch in epoch_iterator(table, ROWS, LABELS, plan):
        assert {
            name: (value.shape, value.dtype.name) for name, value in epoch.items()
        } == {
            "label": ((3, 4), "int32"),
            "label_index": ((3, 4, 4), "int32"),
            "label_prob": ((3, 4, 4), "float16"),
            "entropy": ((3, 4), "float32"),
            "feature": ((3, 4, 10), "float16"),
        }
        row, slot = regions_of(table, epoch).T
        np.testing.assert_array_equal(
            epoch["label"].ravel(), [LABELS[list(ROWS).index(r)] for r in row]
        )
        for name in ("label_index", "label_prob", "entropy"):
            flat = epoch[name].reshape(12, *epoch[name].shape[2:])
            np.testing.assert_array_equal(flat, whole[name][row, slot])


def test_slabs_go_through_the_slots_in_turn(table):
    seen = [
        set(regions_of(table, epoch)[:, 1])
        for epoch in epoch_iterator(table, ROWS, LABELS, PLAN)
    ]
    assert seen == [{0, 1}, {2, 3}, {4, 5}, {0, 1}, {2, 3}]


def test_a_slab_runs_over_the_end(table):
    plan = dataclasses.replace(PLAN, regions_per_epoch=4)
    seen = [
        set(regions_of(table, epoch)[:, 1])
        for epoch in epoch_iterator(table, ROWS, LABELS, plan)
    ]
    assert seen[:3] == [{0, 1, 2, 3}, {4, 5, 0, 1}, {2, 3, 4, 5}]


@pytest.mark.parametrize("access", ["slab", "random"])
def test_whole_epochs_take_each_image_as_often(table, access):
    plan = dataclasses.replace(PLAN, access=access, batch_size=7, epochs=40)
    slots = []
    for epoch in epoch_iterator(table, ROWS, LABELS, plan):
        found = regions_of(table, epoch)
        assert len(np.unique(found, axis=0)) == 14  # no region twice
        rows, counts = np.unique(found[:, 0], return_counts=True)
        np.testing.assert_array_equal(rows, np.sort(ROWS))
        assert set(counts) == {2}
        slots.append(found[:, 1])
    assert set(np.concatenate(slots)) == set(range(6))
    if access == "random":  # images have slots of their own
        assert max(len(set(found)) for found in slots) > 2


def test_order_changes_with_epoch_and_seed(table):
    def orders(seed):
        plan = dataclasses.replace(PLAN, epochs=7, seed=seed)
        return [e["label"].ravel() for e in epoch_iterator(table, ROWS, LABELS, plan)]

    first, again, other = orders(0), orders(0), orders(1)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[3])
    assert not np.array_equal(first[0], other[0])
    # A seed's epochs are not the next seed's, shifted.
    assert not any(np.array_equal(a, b) for a in first for b in other)


@pytest.mark.parametrize("access", ["slab", "random"])
def test_goes_on_exactly_where_it_was(table, access):
    plan = dataclasses.replace(PLAN, access=access)
    whole = list(epoch_iterator(table, ROWS, LABELS, plan))
    for done in range(5):
        first = epoch_iterator(table, ROWS, LABELS, plan)
        for _ in range(done):
            next(first)
        state = first.get_state()
        second = epoch_iterator(table, ROWS, LABELS, plan)
        next(second)
        second.set_state(state)
        rest = list(second)
        assert len(rest) == 5 - done
        for ours, theirs in zip(rest, whole[done:], strict=True):
            for name, value in ours.items():
                np.testing.assert_array_equal(value, theirs[name])


def test_a_table_opened_without_a_student_has_no_features(built):
    epoch = next(epoch_iterator(open_table(built, ""), ROWS, LABELS, PLAN))
    assert sorted(epoch) == ["entropy", "label", "label_index", "label_prob"]


def test_few_images_make_one_smaller_batch(table):
    plan = dataclasses.replace(PLAN, batch_size=100)
    assert next(epoch_iterator(table, ROWS, LABELS, plan))["label"].shape == (1, 14)


def test_the_next_epoch_is_read_meanwhile(table, monkeypatch):
    read, seen = Table.read, []

    def noted(self, *args, **kwargs):
        seen.append(threading.current_thread())
        return read(self, *args, **kwargs)

    monkeypatch.setattr(Table, "read", noted)
    epochs = epoch_iterator(table, ROWS, LABELS, PLAN)  # alive while it reads ahead
    next(epochs)
    deadline = time.monotonic() + 10
    while len(seen) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(seen) == 2
    assert threading.main_thread() not in seen


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"access": "slabs"}, "Did you mean 'slab'"),
        ({"regions_per_epoch": 7}, "needs regions 7 of RIL table .* which has 6"),
    ],
)
def test_plans_that_do_not_fit_are_refused(table, change, message):
    plan = dataclasses.replace(PLAN, **change)
    with pytest.raises(UserError, match=message):
        epoch_iterator(table, ROWS, LABELS, plan)


def test_no_image_is_refused(table):
    none = np.zeros(0, np.int64)
    with pytest.raises(UserError, match="no image to train on"):
        epoch_iterator(table, none, none.astype(np.int32), PLAN)


def test_regions_read_by_slabs():
    assert regions_read(PLAN, 500) == 10
    assert regions_read(PLAN, 6) == 6


def test_regions_read_at_random_are_those_expected():
    plan = dataclasses.replace(PLAN, access="random", epochs=20, regions_per_epoch=3)
    rng = np.random.default_rng(0)
    drawn = [
        len({slot for _ in range(20) for slot in rng.permutation(50)[:3]})
        for _ in range(400)
    ]
    assert abs(regions_read(plan, 50) - np.mean(drawn)) < 1
    assert regions_read(plan, 2) == 2

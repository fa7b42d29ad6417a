import numpy as np
import pytest

from fdbpl_jax.errors import UserError
from fdbpl_jax.ril.inspect import measure
from fdbpl_jax.ril.inspect.measure import disk_bytes, read_seconds
from fdbpl_jax.ril.table import Table, open_table

LABELS = ["label_index", "label_prob", "entropy"]


@pytest.fixture
def reads(monkeypatch):
    """What is read of tables from now on: (table, names, rows, slots, paired)."""
    seen = []
    read = Table.read

    def noted(self, names, rows, slots, paired=False):
        seen.append((self, list(names), rows, slots, paired))
        return read(self, names, rows, slots, paired)

    monkeypatch.setattr(Table, "read", noted)
    return seen


def test_bytes_are_those_of_the_files(built, table, student):
    found = disk_bytes(table)
    assert set(found) == {"box", "flip", *LABELS, f"feature/{student.fingerprint}"}
    for name, size in found.items():
        sizes = [len(f.read_bytes()) for f in (built / name).rglob("*") if f.is_file()]
        assert size == sum(sizes) > 0
    # Features are counted whether or not they are wanted here.
    assert disk_bytes(open_table(built, "")) == found


def test_a_table_elsewhere_has_no_bytes_on_this_disk(table, monkeypatch):
    monkeypatch.setattr(measure.store, "folder_path", lambda folder: None)
    assert disk_bytes(table) == {}


def test_each_read_is_of_500_other_regions_of_a_fresh_table(built, reads, student):
    for wanted in (None, ""):
        table = open_table(built, wanted)
        reads.clear()
        read_seconds(table)
        feature = [f"feature/{student.fingerprint}"] if wanted is None else []
        assert [names for _, names, *_ in reads] == [LABELS + feature] * 3
        assert len({id(t) for t, *_ in reads} | {id(table)}) == 4
        assert {t.student for t, *_ in reads} == {table.student}
        pairs = {
            tuple(zip(rows.tolist(), slots.tolist(), strict=True))
            for _, _, rows, slots, _ in reads
        }
        assert [len(one) for one in pairs] == [500] * 3
        rows, slots = zip(*[pair for one in pairs for pair in one], strict=True)
        assert (set(rows), set(slots)) == (set(range(40)), set(range(6)))
        assert all(paired for *_, paired in reads)


def test_a_large_table_is_not_read_twice_in_one_place():
    for rows, slots in measure._draws(300, 2):
        assert len(set(zip(rows.tolist(), slots.tolist(), strict=True))) == 500
        assert (rows < 300).all()
        assert (slots < 2).all()


def test_seconds_are_the_mean_of_the_reads(table, monkeypatch):
    ticks = iter([0.0, 1.0, 10.0, 12.0, 20.0, 26.0])
    monkeypatch.setattr(measure, "perf_counter", lambda: next(ticks))
    assert read_seconds(table) == 3.0


@pytest.mark.parametrize("array", ["label_prob", "feature"])
def test_a_lost_shard_is_named_even_if_it_was_read_before(copy, student, array):
    table = open_table(copy)
    table.read(list(table.arrays), np.arange(40), np.arange(6))
    name = f"feature/{student.fingerprint}" if array == "feature" else array
    shard = copy / name / "c/1/0/0"
    shard.unlink()
    with pytest.raises(UserError) as caught:
        read_seconds(table)
    assert str(shard) in caught.value.what

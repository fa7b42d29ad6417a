"""Draws depend on the seed and a class's own paths, and on nothing else."""

import dataclasses
import random
from collections import Counter
from pathlib import Path

import pytest

from fdbpl_jax.data.splits import base_count, few_shot, subset
from fdbpl_jax.data.types import Dataset, Example
from fdbpl_jax.errors import UserError


def examples(split, per_class):
    return tuple(
        Example(f"c{label}/{split}{n}.jpg", label)
        for label, count in enumerate(per_class)
        for n in range(count)
    )


def toy(train=(30, 30, 30, 30, 30), val=(10, 10, 10, 10, 10)):
    names = tuple(f"c{label}" for label in range(len(train)))
    parts = (examples("train", train), examples("val", val), examples("test", train))
    return Dataset("toy", Path("images"), names, "a {}.", *parts)


def paths(part):
    return [example.path for example in part]


def test_base_count_rounds_up():
    assert [base_count(n) for n in (1, 2, 5, 100)] == [1, 1, 3, 50]


def test_subset_halves_and_relabels():
    base, new = subset(toy(), "base"), subset(toy(), "new")
    assert base.class_names == ("c0", "c1", "c2")
    assert new.class_names == ("c3", "c4")
    assert Counter(e.label for e in new.test) == {0: 30, 1: 30}
    for part in ("train", "val", "test"):
        for half in (base, new):
            for example in getattr(half, part):
                assert example.path.startswith(half.class_names[example.label] + "/")
        kept = paths(getattr(base, part)) + paths(getattr(new, part))
        assert sorted(kept) == sorted(paths(getattr(toy(), part)))
    assert subset(toy(), "all") == toy()


def test_subset_of_one_class_or_unknown_is_refused():
    with pytest.raises(UserError, match="too few for two halves"):
        subset(toy(train=(3,), val=(3,)), "new")
    with pytest.raises(UserError, match="Did you mean 'base'"):
        subset(toy(), "bass")


def test_few_shot_counts_and_belongs():
    drawn = few_shot(toy(), 16, seed=1)
    assert Counter(e.label for e in drawn.train) == dict.fromkeys(range(5), 16)
    assert Counter(e.label for e in drawn.val) == dict.fromkeys(range(5), 4)
    assert set(drawn.train) <= set(toy().train)
    assert len(set(drawn.train)) == len(drawn.train)
    assert set(drawn.val) <= set(toy().val)
    assert drawn.test == toy().test
    assert Counter(e.label for e in few_shot(toy(), 2, 1).val)[0] == 2


def test_seeds_draw_differently_and_repeatably():
    assert few_shot(toy(), 16, 1) == few_shot(toy(), 16, 1)
    first, second = few_shot(toy(), 16, 1).train, few_shot(toy(), 16, 2).train
    assert 0 < len(set(first) & set(second)) < len(first)


def test_draw_of_seed_1_is_the_one_recorded():
    """Changing the draw would silently change every published number."""
    drawn = paths(few_shot(toy(), 4, seed=1).train)[:4]
    numbers = [
        int(path.removeprefix("c0/train").removesuffix(".jpg")) for path in drawn
    ]
    assert numbers == [11, 5, 13, 7]


def test_few_shot_does_not_depend_on_the_order_of_the_listing():
    shuffled = list(toy().train)
    random.Random(0).shuffle(shuffled)
    other = dataclasses.replace(toy(), train=tuple(shuffled))
    assert few_shot(other, 16, 1).train == few_shot(toy(), 16, 1).train


def test_a_class_does_not_change_the_draw_of_another():
    smaller = toy(train=(30, 30, 20, 30, 30))
    one, two = few_shot(smaller, 16, 1).train, few_shot(toy(), 16, 1).train
    others = [[e for e in part if e.label != 2] for part in (one, two)]
    assert others[0] == others[1]


@pytest.mark.parametrize("which", ["base", "new"])
def test_halves_get_the_shots_of_the_whole(which):
    before = subset(few_shot(toy(), 8, 3), which)
    after = few_shot(subset(toy(), which), 8, 3)
    assert before == after


def test_fewer_shots_are_the_first_of_more():
    four, eight = few_shot(toy(), 4, 1).train, few_shot(toy(), 8, 1).train
    for label in range(5):
        of = [[e for e in part if e.label == label] for part in (four, eight)]
        assert of[1][:4] == of[0]


def test_short_class_gives_all_and_is_named(caplog):
    drawn = few_shot(toy(train=(30, 5, 30), val=(9, 9, 9)), 16, 1)
    assert Counter(e.label for e in drawn.train) == {0: 16, 1: 5, 2: 16}
    assert "1 classes have fewer than 16 train images" in caplog.text
    assert "'c1' (5)" in caplog.text


def test_data_without_validation_images_is_no_warning(caplog):
    assert few_shot(toy(val=()), 16, 1).val == ()
    assert not caplog.text


def test_empty_classes_and_no_shots_are_refused():
    with pytest.raises(UserError, match=r"2 classes .* no training image: 'c0', 'c2'"):
        few_shot(toy(train=(0, 5, 0), val=()), 4, 1)
    with pytest.raises(UserError, match="shots is 0"):
        few_shot(toy(), 0, 1)

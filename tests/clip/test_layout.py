import itertools

import numpy as np
import pytest

from fdbpl_jax.clip import layout as layout_module
from fdbpl_jax.clip.layout import bucket_lengths, make_layout

# SOS = 12, "." = 8, EOS = 13; the ids at context slots are but placeholders.


def layout(rows, slots, eos, specific=False):
    ids, slot = np.array(rows, np.int32), np.array(slots, np.int32)
    return make_layout(ids, slot, np.array(eos, np.int32), specific)


def test_the_prefix_ends_before_the_first_position_that_differs():
    found = layout(
        [[12, 0, 3, 5, 1, 8, 13, 13], [12, 0, 3, 5, 2, 2, 8, 13]],
        [[-1, 0, -1, -1, -1, -1, -1, -1]] * 2,
        [6, 7],
    )
    np.testing.assert_array_equal(found.prefix_ids, [12, 0, 3, 5])
    np.testing.assert_array_equal(found.prefix_slot, [-1, 0, -1, -1])
    (bucket,) = found.buckets
    np.testing.assert_array_equal(bucket.ids, [[[1, 8, 13, 13], [2, 2, 8, 13]]])
    np.testing.assert_array_equal(bucket.slot, np.full((1, 2, 4), -1))
    np.testing.assert_array_equal(bucket.eos, [[2, 3]])
    np.testing.assert_array_equal(bucket.owner, [[0, 1]])
    np.testing.assert_array_equal(found.place, [0, 1])


def test_positions_after_the_last_eos_are_cut():
    found = layout([[12, 1, 13, 0, 0, 0], [12, 2, 13, 0, 0, 0]], [[-1] * 6] * 2, [2, 2])
    assert found.buckets[0].ids.shape == (1, 2, 2)


def test_equal_ids_with_different_slots_are_not_shared():
    found = layout(
        [[12, 1, 4, 13], [12, 1, 4, 13]], [[-1, 0, 1, -1], [-1, 0, -1, -1]], [3, 3]
    )
    np.testing.assert_array_equal(found.prefix_ids, [12, 1])


def test_context_tokens_in_another_order_are_not_shared():
    found = layout([[12, 0, 0, 13]] * 2, [[-1, 0, 1, -1], [-1, 1, 0, -1]], [3, 3])
    np.testing.assert_array_equal(found.prefix_ids, [12])


def test_an_id_at_a_slot_is_only_a_placeholder():
    found = layout([[12, 1, 4, 13], [12, 2, 5, 13]], [[-1, 0, -1, -1]] * 2, [3, 3])
    assert len(found.prefix_ids) == 2


def test_contexts_of_the_classes_are_not_shared():
    rows, slots = [[12, 3, 0, 4, 13], [12, 3, 0, 5, 13]], [[-1, -1, 0, -1, -1]] * 2
    assert len(layout(rows, slots, [4, 4]).prefix_ids) == 3
    found = layout(rows, slots, [4, 4], specific=True)
    np.testing.assert_array_equal(found.prefix_ids, [12, 3])
    assert (found.prefix_slot < 0).all()


def test_eos_stays_in_the_suffix_of_every_class():
    found = layout([[12, 1, 2, 13]], [[-1] * 4], [3])
    np.testing.assert_array_equal(found.buckets[0].ids, [[[13]]])
    twins = layout([[12, 1, 2, 13]] * 2, [[-1] * 4] * 2, [3, 3])
    np.testing.assert_array_equal(twins.buckets[0].eos, [[0, 0]])
    shorter = layout([[12, 1, 13, 13], [12, 1, 13, 13]], [[-1] * 4] * 2, [2, 3])
    np.testing.assert_array_equal(shorter.buckets[0].eos, [[0, 1]])


def named(lengths):
    """Prompts "SOS name EOS" with names of so many tokens, no two starting alike."""
    rows = np.full((len(lengths), max(lengths) + 2), 13, np.int32)
    for row, length in enumerate(lengths):
        rows[row, : 1 + length] = [12, row + 14, *[1] * (length - 1)]
    return make_layout(
        rows, np.full_like(rows, -1), np.array(lengths, np.int32) + 1, False
    )


def outputs(found):
    """Class indices in the order in which the tower gives features."""
    owners = np.concatenate([bucket.owner for bucket in found.buckets], axis=1)
    return owners.reshape(-1)


def test_few_suffixes_are_filled_up_to_one_length():
    assert len(named([1, 2, 5]).buckets) == 1


def test_one_long_name_does_not_make_all_long():
    found = named([1] * 60 + [12] + [1] * 39)
    assert [bucket.ids.shape for bucket in found.buckets] == [(1, 99, 2), (1, 1, 13)]
    np.testing.assert_array_equal(outputs(found)[found.place], np.arange(100))
    np.testing.assert_array_equal(found.buckets[1].owner, [[60]])


def test_buckets_are_as_few_tokens_as_four_lengths_allow():
    """ImageNet's names: 4.5 tokens a suffix in place of 13."""
    counts = {1: 246, 2: 508, 3: 155, 4: 49, 5: 24, 6: 9, 7: 7, 8: 1, 11: 1}
    lengths = np.repeat(list(counts), list(counts.values())) + 2
    assert bucket_lengths(lengths) == (4, 5, 7, 13)


def test_the_cheapest_lengths_are_found():
    rng = np.random.default_rng(0)
    for _ in range(20):
        lengths = rng.integers(1, 9, 60)
        found = bucket_lengths(lengths)
        tokens = cost(lengths, found)
        for size in (1, 2, 3, 4):
            for other in itertools.combinations(range(1, lengths.max()), size - 1):
                assert tokens <= cost(lengths, (*other, lengths.max()))


def cost(lengths, ends):
    tokens = sum(min(end for end in ends if end >= length) for length in lengths)
    return tokens + 32 * len(ends)


def test_many_classes_are_dealt_into_chunks_of_one_shape(monkeypatch):
    monkeypatch.setattr(layout_module, "_CHUNK_TOKENS", 64)
    lengths = [1] * 80 + [9] * 11
    found = named(lengths)
    # 80 · 2 + 11 · 10 = 270 tokens: 5 chunks of at most 16 short and 3 long names.
    assert [b.ids.shape for b in found.buckets] == [(5, 16, 2), (5, 3, 10)]
    np.testing.assert_array_equal(outputs(found)[found.place], np.arange(91))
    for bucket in found.buckets:
        np.testing.assert_array_equal(
            np.array(lengths)[bucket.owner] + 1, bucket.eos + 1
        )


@pytest.mark.parametrize("eos", [[0], [4]])
def test_an_eos_out_of_range_is_refused(eos):
    with pytest.raises(ValueError, match="EOS positions"):
        layout([[12, 1, 2, 13]], [[-1] * 4], eos)


def test_prompts_that_share_nothing_are_refused():
    with pytest.raises(ValueError, match="first position"):
        layout([[12, 13], [11, 13]], [[-1, -1]] * 2, [1, 1])

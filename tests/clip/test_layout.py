import numpy as np
import pytest

from fdbpl_jax.clip.layout import make_layout

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
    np.testing.assert_array_equal(found.suffix_ids, [[1, 8, 13, 13], [2, 2, 8, 13]])
    np.testing.assert_array_equal(found.suffix_slot, np.full((2, 4), -1))
    np.testing.assert_array_equal(found.eos, [2, 3])


def test_positions_after_the_last_eos_are_cut():
    found = layout([[12, 1, 13, 0, 0, 0], [12, 2, 13, 0, 0, 0]], [[-1] * 6] * 2, [2, 2])
    assert found.suffix_ids.shape == (2, 2)


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
    np.testing.assert_array_equal(found.suffix_ids, [[13]])
    twins = layout([[12, 1, 2, 13]] * 2, [[-1] * 4] * 2, [3, 3])
    np.testing.assert_array_equal(twins.eos, [0, 0])
    shorter = layout([[12, 1, 13, 13], [12, 1, 13, 13]], [[-1] * 4] * 2, [2, 3])
    np.testing.assert_array_equal(shorter.eos, [0, 1])


@pytest.mark.parametrize("eos", [[0], [4]])
def test_an_eos_out_of_range_is_refused(eos):
    with pytest.raises(ValueError, match="EOS positions"):
        layout([[12, 1, 2, 13]], [[-1] * 4], eos)


def test_prompts_that_share_nothing_are_refused():
    with pytest.raises(ValueError, match="first position"):
        layout([[12, 13], [11, 13]], [[-1, -1]] * 2, [1, 1])

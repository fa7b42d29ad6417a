"""Which positions of the prompts all classes share, and which are a class's own."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Int


class PromptLayout(NamedTuple):
    """The prompts of C classes, cut into a shared prefix and class-wise suffixes.

    Int32 arrays, with P shared positions and S suffix positions:

    Attributes:
      prefix_ids: `[P]`, token ids of the leading positions that all classes share.
      prefix_slot: `[P]`, which context token stands here; -1: the ordinary token.
      suffix_ids: `[C, S]`, the class's own positions from P on; after EOS they are
        filled up with whatever follows, which nothing ever attends to.
      suffix_slot: `[C, S]`, as `prefix_slot`.
      eos: `[C]`, the index of EOS within the suffix.
    """

    prefix_ids: Array | np.ndarray
    prefix_slot: Array | np.ndarray
    suffix_ids: Array | np.ndarray
    suffix_slot: Array | np.ndarray
    eos: Array | np.ndarray


def make_layout(
    ids: Int[np.ndarray, "C T"],
    slot: Int[np.ndarray, "C T"],
    eos: Int[np.ndarray, "C"],
    class_specific: bool,
) -> PromptLayout:
    """Find the longest prefix that all classes share; cut the rest to what is needed.

    Attention is causal and a text is read at its EOS. So positions after the last EOS
    are never computed, and leading positions that hold the same tokens for all classes
    have the same hidden states for all of them, in every layer.

    Args:
      ids: token ids of each class's whole prompt, SOS first; those at context slots
        matter to nothing but must be in the vocabulary.
      slot: which context token stands at a position, -1 where the ordinary token does.
      eos: position of each class's EOS.
      class_specific: the classes have contexts of their own, so no position with a
        context token can be shared.

    Returns:
      The layout, on the host. The prefix has at least SOS, the suffix at least EOS.

    Raises:
      ValueError: an EOS is out of range, or the prompts do not even share SOS.
    """
    length = ids.shape[1]
    if eos.min() < 1 or eos.max() >= length:
        raise ValueError(f"EOS positions {eos.min()}..{eos.max()} in {length} tokens")
    # An id at a context slot is a placeholder: only the slot tells what stands there.
    tokens = np.where(slot >= 0, -1, ids)
    shared = ((tokens == tokens[:1]) & (slot == slot[:1])).all(0)
    if class_specific:
        shared &= (slot < 0).all(0)
    shared[eos.min() :] = False
    cut = int(np.argmin(shared))  # the first position that is not shared
    if cut == 0:
        raise ValueError("the prompts differ at their first position, SOS")
    end = int(eos.max()) + 1
    return PromptLayout(
        prefix_ids=ids[0, :cut].astype(np.int32),
        prefix_slot=slot[0, :cut].astype(np.int32),
        suffix_ids=ids[:, cut:end].astype(np.int32),
        suffix_slot=slot[:, cut:end].astype(np.int32),
        eos=(eos - cut).astype(np.int32),
    )

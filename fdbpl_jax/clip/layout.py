"""Layout of prompts: positions that all classes share, and suffixes per class."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

_MOST_BUCKETS = 4
_BUCKET_PRICE = 32  # tokens that another bucket must save, for its own attention
_CHUNK_TOKENS = 8192  # suffix tokens encoded at once; beyond, memory would grow with C


class Bucket(NamedTuple):
    """Suffixes that are encoded at one length S, in G chunks of c classes; int32.

    A suffix is what follows the shared positions. After EOS it is padded with whatever
    follows, which nothing ever attends to. A class may occur more than once, to fill up
    the last chunks.
    """

    ids: Array | np.ndarray  # [G, c, S]
    slot: Array | np.ndarray  # [G, c, S], context token; -1: the ordinary token
    eos: Array | np.ndarray  # [G, c], index of EOS within the suffix
    owner: Array | np.ndarray  # [G, c], class of the suffix


class PromptLayout(NamedTuple):
    """The prompts of C classes: a shared prefix of P positions, and suffixes; int32."""

    prefix_ids: Array | np.ndarray  # [P]
    prefix_slot: Array | np.ndarray  # [P], context token; -1: the ordinary token
    buckets: tuple[Bucket, ...]  # shortest suffixes first; the same G in each
    place: Array | np.ndarray  # [C], index of each class by chunk, bucket and row


class NameList(NamedTuple):
    """The prompts of a long list of V names, of which a few are encoded at a time.

    As in `PromptLayout`, with all suffixes padded to one length.
    """

    prefix_ids: Array | np.ndarray  # [P]
    prefix_slot: Array | np.ndarray  # [P]
    ids: Array | np.ndarray  # [V, S]
    slot: Array | np.ndarray  # [V, S]
    eos: Array | np.ndarray  # [V]


def make_layout(
    ids: Int[np.ndarray, "C T"],
    slot: Int[np.ndarray, "C T"],
    eos: Int[np.ndarray, " C"],
    class_specific: bool,
) -> PromptLayout:
    """Find the longest prefix that all classes share; cut the rest to what is needed.

    Attention is causal and a text is read at its EOS. So positions after a class's EOS
    need not be computed, and leading positions with the same tokens for all classes
    have the same hidden states for all of them, in every layer. Suffixes are sorted
    into a few lengths, so that one long class name does not lengthen all of them, and
    many classes into chunks, so that memory does not grow with them. The layout is on
    the host; its prefix has at least SOS, a suffix at least EOS.

    Args:
      ids: SOS first; those at context slots are not used but must be in the vocabulary.
      slot: context token at a position; -1: the ordinary token.
      eos: position of each class's EOS.
      class_specific: each class has its own context, so no position with a context
        token can be shared.

    Raises:
      ValueError: an EOS is out of range, or the prompts do not even share SOS.
    """
    length = ids.shape[1]
    if eos.min() < 1 or eos.max() >= length:
        raise ValueError(f"EOS positions {eos.min()}..{eos.max()} in {length} tokens")
    ids, slot, eos = (array.astype(np.int32) for array in (ids, slot, eos))
    # An id at a context slot is a placeholder: only the slot counts.
    tokens = np.where(slot >= 0, -1, ids)
    shared = ((tokens == tokens[:1]) & (slot == slot[:1])).all(0)
    if class_specific:
        shared &= (slot < 0).all(0)
    shared[eos.min() :] = False
    cut = int(np.argmin(shared))  # the first position that is not shared
    if cut == 0:
        raise ValueError("the prompts differ at their first position, SOS")
    buckets, place = _buckets(ids[:, cut:], slot[:, cut:], eos - cut)
    return PromptLayout(ids[0, :cut], slot[0, :cut], buckets, place)


def make_name_list(layout: PromptLayout) -> NameList:
    """List the names of a layout, each at the length of the longest, on the host."""
    last = max(bucket.ids.shape[-1] for bucket in layout.buckets)
    ids, slot, eos = [], [], []
    for bucket in layout.buckets:
        fill = ((0, 0), (0, 0), (0, last - bucket.ids.shape[-1]))
        ids.append(np.pad(bucket.ids, fill))
        slot.append(np.pad(bucket.slot, fill, constant_values=-1))
        eos.append(bucket.eos)
    chunks = [np.concatenate(arrays, axis=1) for arrays in (ids, slot, eos)]
    rows = [chunk.reshape(-1, *chunk.shape[2:])[layout.place] for chunk in chunks]
    return NameList(layout.prefix_ids, layout.prefix_slot, *rows)


def choose(names: NameList, index: Int[Array, " C"]) -> PromptLayout:
    """Make the layout of the names at `index`; it can be traced."""
    names = jax.tree.map(jnp.asarray, names)
    count, length = len(index), names.ids.shape[1]
    chunks = -(-count * length // _CHUNK_TOKENS)
    size = -(-count // chunks)
    owner = jnp.resize(jnp.arange(count), (chunks, size))
    row = index[owner]
    bucket = Bucket(names.ids[row], names.slot[row], names.eos[row], owner)
    place = jnp.arange(count)
    return PromptLayout(names.prefix_ids, names.prefix_slot, (bucket,), place)


def bucket_lengths(lengths: Int[np.ndarray, " C"]) -> tuple[int, ...]:
    """Choose the few lengths at which suffixes are padded, ascending.

    The choice with the fewest tokens wins; each bucket counts as `_BUCKET_PRICE` more.
    """
    distinct, counts = np.unique(lengths, return_counts=True)
    below = np.cumsum(counts)  # suffixes no longer than distinct[i]

    def cost(ends: tuple[int, ...]) -> int:
        sizes = np.diff(below[list(ends)], prepend=0)
        return int(sizes @ distinct[list(ends)]) + _BUCKET_PRICE * len(ends)

    last = len(distinct) - 1
    choices = (
        (*inner, last)
        for inside in range(min(_MOST_BUCKETS, len(distinct)))
        for inner in itertools.combinations(range(last), inside)
    )
    return tuple(int(distinct[end]) for end in min(choices, key=cost))


def _buckets(
    ids: Int[np.ndarray, "C S"],
    slot: Int[np.ndarray, "C S"],
    eos: Int[np.ndarray, " C"],
) -> tuple[tuple[Bucket, ...], Int[np.ndarray, " C"]]:
    lengths = bucket_lengths(eos + 1)
    which = np.searchsorted(lengths, eos + 1)
    members = [np.flatnonzero(which == b) for b in range(len(lengths))]
    tokens = np.asarray(lengths)[which].sum()
    chunks = -(-int(tokens) // _CHUNK_TOKENS)
    sizes = [-(-len(owner) // chunks) for owner in members]
    starts = np.cumsum(sizes) - sizes
    place = np.zeros(len(ids), np.int32)
    buckets = []
    for length, owner, size, start in zip(lengths, members, sizes, starts, strict=True):
        chunk, within = np.divmod(np.arange(len(owner)), size)
        place[owner] = chunk * sum(sizes) + start + within
        rows = np.resize(owner, (chunks, size)).astype(np.int32)
        buckets.append(Bucket(ids[rows, :length], slot[rows, :length], eos[rows], rows))
    return tuple(buckets), place

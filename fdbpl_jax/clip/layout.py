"""Which positions of the prompts all classes share, and which are a class's own."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

_MOST_BUCKETS = 4
_BUCKET_PRICE = 32  # tokens that one bucket more must save: its attention is not free
_CHUNK_TOKENS = 8192  # suffix tokens encoded at once; beyond, memory would grow with C


class Bucket(NamedTuple):
    """Suffixes that are encoded at one length S, in G chunks of c classes.

    Int32 arrays:

    Attributes:
      ids: `[G, c, S]`, each class's own positions, after the shared ones; after EOS
        they are filled up with whatever follows, which nothing ever attends to.
      slot: `[G, c, S]`, which context token stands here; -1: the ordinary token.
      eos: `[G, c]`, the index of EOS within the suffix.
      owner: `[G, c]`, whose suffix it is. To fill up the last chunks, a class may
        stand here more than once.
    """

    ids: Array | np.ndarray
    slot: Array | np.ndarray
    eos: Array | np.ndarray
    owner: Array | np.ndarray


class PromptLayout(NamedTuple):
    """The prompts of C classes, cut into a shared prefix and class-wise suffixes.

    Int32 arrays, with P shared positions:

    Attributes:
      prefix_ids: `[P]`, token ids of the leading positions that all classes share.
      prefix_slot: `[P]`, which context token stands here; -1: the ordinary token.
      buckets: suffixes of about the same length, shortest first; as many chunks in
        each.
      place: `[C]`, where each class stands when chunks, and in them buckets, are laid
        end to end.
    """

    prefix_ids: Array | np.ndarray
    prefix_slot: Array | np.ndarray
    buckets: tuple[Bucket, ...]
    place: Array | np.ndarray


class NameList(NamedTuple):
    """The prompts of a long list of V names, of which a few are encoded at a time.

    Int32 arrays:

    Attributes:
      prefix_ids, prefix_slot: `[P]`, as in `PromptLayout`.
      ids, slot: `[V, S]`, of each name's own positions, all filled up to one length.
      eos: `[V]`.
    """

    prefix_ids: Array | np.ndarray
    prefix_slot: Array | np.ndarray
    ids: Array | np.ndarray
    slot: Array | np.ndarray
    eos: Array | np.ndarray


def make_layout(
    ids: Int[np.ndarray, "C T"],
    slot: Int[np.ndarray, "C T"],
    eos: Int[np.ndarray, "C"],
    class_specific: bool,
) -> PromptLayout:
    """Find the longest prefix that all classes share; cut the rest to what is needed.

    Attention is causal and a text is read at its EOS. So positions after a class's EOS
    need not be computed, and leading positions that hold the same tokens for all
    classes have the same hidden states for all of them, in every layer. Suffixes are
    sorted into a few lengths, so that one long class name does not make all of them
    long, and many classes into chunks, so that memory does not grow with them.

    Args:
      ids: token ids of each class's whole prompt, SOS first; those at context slots
        matter to nothing but must be in the vocabulary.
      slot: which context token stands at a position, -1 where the ordinary token does.
      eos: position of each class's EOS.
      class_specific: the classes have contexts of their own, so no position with a
        context token can be shared.

    Returns:
      The layout, on the host. The prefix has at least SOS, a suffix at least EOS.

    Raises:
      ValueError: an EOS is out of range, or the prompts do not even share SOS.
    """
    if eos.min() < 1 or eos.max() >= ids.shape[1]:
        raise ValueError(
            f"EOS positions {eos.min()}..{eos.max()} in {ids.shape[1]} tokens"
        )
    cut = _shared_positions(ids, slot, eos, class_specific)
    buckets, place = _buckets(ids[:, cut:], slot[:, cut:], eos - cut)
    return PromptLayout(
        prefix_ids=ids[0, :cut].astype(np.int32),
        prefix_slot=slot[0, :cut].astype(np.int32),
        buckets=buckets,
        place=place,
    )


def make_name_list(layout: PromptLayout) -> NameList:
    """The names of a layout, each at the length of the longest, on the host."""
    last = max(bucket.ids.shape[-1] for bucket in layout.buckets)
    parts: dict[str, list[np.ndarray]] = {"ids": [], "slot": [], "eos": []}
    for bucket in layout.buckets:
        fill = ((0, 0), (0, 0), (0, last - bucket.ids.shape[-1]))
        parts["ids"].append(np.pad(bucket.ids, fill))
        parts["slot"].append(np.pad(bucket.slot, fill, constant_values=-1))
        parts["eos"].append(bucket.eos)
    rows = {}
    for name, arrays in parts.items():
        whole = np.concatenate(arrays, axis=1)  # chunks, then the classes of each
        rows[name] = whole.reshape(-1, *whole.shape[2:])[layout.place]
    return NameList(layout.prefix_ids, layout.prefix_slot, **rows)


def choose(names: NameList, index: Int[Array, " C"]) -> PromptLayout:
    """The layout of the names at `index`; it can be traced."""
    names = jax.tree.map(jnp.asarray, names)
    count, length = len(index), names.ids.shape[1]
    chunks = -(-count * length // _CHUNK_TOKENS)
    size = -(-count // chunks)
    owner = jnp.resize(jnp.arange(count), (chunks, size))
    row = index[owner]
    bucket = Bucket(names.ids[row], names.slot[row], names.eos[row], owner)
    place = jnp.arange(count)
    return PromptLayout(names.prefix_ids, names.prefix_slot, (bucket,), place)


def bucket_lengths(lengths: Int[np.ndarray, "C"]) -> tuple[int, ...]:
    """The few lengths at which suffixes of these lengths are best encoded, ascending.

    A suffix is filled up to the next of them. Fewest tokens win, a bucket counting as
    many as it must save.
    """
    found, counts = np.unique(lengths, return_counts=True)
    below = np.cumsum(counts)  # suffixes no longer than found[i]

    def cost(ends: tuple[int, ...]) -> int:
        sizes = np.diff(below[list(ends)], prepend=0)
        return int(sizes @ found[list(ends)]) + _BUCKET_PRICE * len(ends)

    last = len(found) - 1
    choices = (
        (*inner, last)
        for inside in range(min(_MOST_BUCKETS, len(found)))
        for inner in itertools.combinations(range(last), inside)
    )
    return tuple(int(found[end]) for end in min(choices, key=cost))


def _shared_positions(
    ids: Int[np.ndarray, "C T"],
    slot: Int[np.ndarray, "C T"],
    eos: Int[np.ndarray, "C"],
    class_specific: bool,
) -> int:
    # An id at a context slot is a placeholder: only the slot tells what stands there.
    tokens = np.where(slot >= 0, -1, ids)
    shared = ((tokens == tokens[:1]) & (slot == slot[:1])).all(0)
    if class_specific:
        shared &= (slot < 0).all(0)
    shared[eos.min() :] = False
    cut = int(np.argmin(shared))  # the first position that is not shared
    if cut == 0:
        raise ValueError("the prompts differ at their first position, SOS")
    return cut


def _buckets(
    ids: Int[np.ndarray, "C S"], slot: Int[np.ndarray, "C S"], eos: Int[np.ndarray, "C"]
) -> tuple[tuple[Bucket, ...], Int[np.ndarray, "C"]]:
    lengths = bucket_lengths(eos + 1)
    which = np.searchsorted(lengths, eos + 1)
    members = [np.flatnonzero(which == b) for b in range(len(lengths))]
    tokens = sum(
        length * len(owner) for length, owner in zip(lengths, members, strict=True)
    )
    chunks = -(-tokens // _CHUNK_TOKENS)
    sizes = [-(-len(owner) // chunks) for owner in members]
    offsets = np.cumsum([0, *sizes])
    place = np.zeros(len(ids), np.int32)
    buckets = []
    for length, owner, size, offset in zip(
        lengths, members, sizes, offsets[:-1], strict=True
    ):
        chunk, within = np.divmod(np.arange(len(owner)), size)
        place[owner] = chunk * offsets[-1] + offset + within
        filled = np.resize(owner, (chunks, size))
        buckets.append(
            Bucket(
                ids=ids[filled, :length].astype(np.int32),
                slot=slot[filled, :length].astype(np.int32),
                eos=eos[filled].astype(np.int32),
                owner=filled.astype(np.int32),
            )
        )
    return tuple(buckets), place

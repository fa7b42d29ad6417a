"""A shared prefix and suffixes of several lengths, laid end to end as N positions.

Dense layers take one matrix `[N, W]`; attention splits it into the prefix and the
buckets of a layout (one chunk: `[c, S]` arrays) and joins them again.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fdbpl_jax.clip.layout import PromptLayout
from fdbpl_jax.clip.transformer import attend, shared_prefix_attention


def end_to_end(
    prefix: Array | np.ndarray, suffixes: Sequence[Array | np.ndarray]
) -> Array:
    """Join `[P …]` and the buckets' `[c S …]` as one `[N …]`."""
    flat = [suffix.reshape(-1, *suffix.shape[2:]) for suffix in suffixes]
    return jnp.concatenate([prefix, *flat])


def attention(
    layout: PromptLayout,
    query: Float[Array, "N H d"],
    key: Float[Array, "N H d"],
    value: Float[Array, "N H d"],
) -> Float[Array, "N H d"]:
    """Attend causally: the prefix to itself, a suffix to the prefix and itself."""
    parts = (_apart(layout, x) for x in (query, key, value))
    (query, queries), (key, keys), (value, values) = parts
    mixed = []
    for q, k, v in zip(queries, keys, values, strict=True):
        mask = _causal_mask(jnp.arange(q.shape[1])[None], q.shape[1])
        mixed.append(shared_prefix_attention(q, (key, value), (k, v), mask))
    return end_to_end(attend(query, key, value, causal=True), mixed)


def attention_at_eos(
    layout: PromptLayout,
    query: Float[Array, "c H d"],
    key: Float[Array, "N H d"],
    value: Float[Array, "N H d"],
) -> Float[Array, "c H d"]:
    """Attend the same way for the queries at EOS alone, in the order of the buckets."""
    (key, keys), (value, values) = (_apart(layout, x) for x in (key, value))
    ends = np.cumsum([len(bucket.eos) for bucket in layout.buckets])
    queries = jnp.split(query, ends[:-1])
    mixed = []
    for bucket, q, k, v in zip(layout.buckets, queries, keys, values, strict=True):
        mask = _causal_mask(bucket.eos[:, None], bucket.ids.shape[1])
        at_eos = shared_prefix_attention(q[:, None], (key, value), (k, v), mask)
        mixed.append(at_eos[:, 0])
    return jnp.concatenate(mixed)


def eos_rows(layout: PromptLayout) -> Int[Array, " c"]:
    """Index each EOS among the N positions."""
    start, rows = len(layout.prefix_ids), []
    for bucket in layout.buckets:
        classes, length = bucket.ids.shape
        rows.append(start + length * jnp.arange(classes) + bucket.eos)
        start += classes * length
    return jnp.concatenate(rows)


def _apart(layout: PromptLayout, x: Float[Array, "N ..."]) -> tuple[Array, list[Array]]:
    """Undo `end_to_end`."""
    shapes = [bucket.ids.shape for bucket in layout.buckets]
    starts = np.cumsum([len(layout.prefix_ids), *(c * s for c, s in shapes)])
    prefix, *flat = jnp.split(x, starts[:-1])
    suffixes = zip(flat, shapes, strict=True)
    return prefix, [rows.reshape(*shape, *x.shape[1:]) for rows, shape in suffixes]


def _causal_mask(
    query: Int[Array | np.ndarray, "K Q"], length: int
) -> Float[Array, "K Q {length}"]:
    visible = jnp.arange(length)[None, None] <= query[..., None]
    return jnp.where(visible, 0.0, -jnp.inf)

import dataclasses
import functools

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.clip import layout as layout_module
from fdbpl_jax.clip.layout import make_layout
from fdbpl_jax.clip.text import (
    embed_tokens,
    encode_prompts,
    encode_text,
    eos_position,
)

SOS, EOS, LENGTH, SLOTS = 12, 13, 77, 3
ONE = [[1, 2]]
LENGTHS = [[1], [2, 3, 4, 5], [6, 7]]
SAME_START = [[5, 1], [5, 2, 2], [5, 1]]
# Names of the classes, place of the name in the context, contexts of the classes' own,
# deep layers.
CASES = {
    "one class": (ONE, "end", False, 2),
    "one class, own context": (ONE, "end", True, 2),
    "name at end": (LENGTHS, "end", False, 0),
    "name at end, deep": (LENGTHS, "end", False, 2),
    "name in the middle, one deep": (LENGTHS, "middle", False, 1),
    "name in front, deep": (LENGTHS, "front", False, 2),
    "own contexts": (LENGTHS, "end", True, 0),
    "own contexts, name in the middle, deep": (LENGTHS, "middle", True, 2),
    "own contexts, name in front, one deep": (LENGTHS, "front", True, 1),
    "names start alike": (SAME_START, "end", False, 2),
    "names start alike, in the middle": (SAME_START, "middle", False, 1),
}


def prompts(names, place):
    """Ids, slots and EOS of "context name ." with the name somewhere in it."""
    ids = np.full((len(names), LENGTH), EOS, np.int32)
    slot = np.full((len(names), LENGTH), -1, np.int32)
    eos = np.zeros(len(names), np.int32)
    cut = {"end": SLOTS, "middle": 1, "front": 0}[place]
    for c, name in enumerate(names):
        before, after = range(cut), range(cut, SLOTS)
        slots = [-1, *before, *[-1] * len(name), *after, -1, -1]
        words = [SOS, *[0] * cut, *name, *[0] * (SLOTS - cut), 8, EOS]
        ids[c, : len(words)], slot[c, : len(words)] = words, slots
        eos[c] = len(words) - 1
    return ids, slot, eos


def norm(p, x):
    mean = x.mean(-1, keepdims=True)
    var = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / jnp.sqrt(var + 1e-5) * p["scale"] + p["bias"]


def dense(p, x):
    return x @ p["kernel"] + p["bias"]


@jax.numpy_rank_promotion("allow")
def plain(config, params, ids, slot, eos, context, deep):
    """All 77 tokens of all classes, one layer after the other, no shortcut."""
    classes, tokens = ids.shape
    heads, width = config.tower.heads, config.tower.width
    if context.ndim == 2:
        context = jnp.stack([context] * classes)
    rows = np.arange(classes)[:, None]
    at = jnp.asarray(slot >= 0)[..., None]

    x = params["token_embedding"][ids]
    x = jnp.where(at, context[rows, jnp.maximum(slot, 0)], x)
    x = x + params["position_embedding"][None]
    future = np.triu(np.full((tokens, tokens), -np.inf), 1)[None, None]
    for i in range(config.tower.layers):
        p = params[f"layers_{i}"]
        if deep is not None and 1 <= i <= len(deep):
            x = jnp.where(at, deep[i - 1][jnp.maximum(slot, 0)], x)
        normed = norm(p["norm1"], x)
        q, k, v = (
            dense(p[name], normed).reshape(classes, tokens, heads, -1)
            for name in ("query_proj", "key_proj", "value_proj")
        )
        score = jnp.einsum("cqhd,ckhd->chqk", q, k) / np.sqrt(width // heads) + future
        mixed = jnp.einsum("chqk,ckhd->cqhd", jax.nn.softmax(score), v)
        x = x + dense(p["out_proj"], mixed.reshape(x.shape))
        hidden = dense(p["fc1"], norm(p["norm2"], x))
        x = x + dense(p["fc2"], hidden / (1 + jnp.exp(-1.702 * hidden)))
    return norm(params["final_norm"], x[rows[:, 0], eos]) @ params["to_joint"]["kernel"]


def close(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        scale = float(jnp.abs(y).max(initial=0))
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5 * scale)


def value_and_grads(features, context, deep, weight):
    """Features, and a weighted sum's gradients by context and deep prompts."""

    def loss(context, deep):
        found = features(context, deep)
        return (found * weight).sum(), found

    grad = jax.value_and_grad(loss, (0, 1), has_aux=True)
    (_, found), grads = grad(context, deep)
    return found, grads


# Compiling takes nearly all the time here, and less without the optimiser.
compiled = functools.partial(
    jax.jit, static_argnums=0, compiler_options={"xla_backend_optimization_level": 0}
)
encode = compiled(encode_prompts)


@compiled
def fast(config, params, layout, context, deep, weight):
    def features(context, deep):
        return encode_prompts(config, params, layout, context, deep)

    return value_and_grads(features, context, deep, weight)


@compiled
def slow(config, params, prompts, context, deep, weight):
    def features(context, deep):
        return plain(config, params, *prompts, context, deep)

    return value_and_grads(features, context, deep, weight)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_shortcuts_change_nothing(tiny_config, tiny_params, case):
    equal_to_plain(tiny_config, tiny_params, *case)


# Suffixes of 3 to 6 tokens, with their own contexts up to 3 more.
@pytest.mark.parametrize("chunk_tokens", [8192, 9], ids=["whole", "in chunks"])
@pytest.mark.parametrize("specific", [False, True], ids=["one context", "own contexts"])
def test_buckets_and_chunks_change_nothing(
    tiny_config, tiny_params, specific, chunk_tokens, monkeypatch
):
    monkeypatch.setattr(layout_module, "_BUCKET_PRICE", 0)
    monkeypatch.setattr(layout_module, "_CHUNK_TOKENS", chunk_tokens)
    names = [[1], [2, 3, 4, 5], [6, 7], [1, 1], [2]]
    layout = equal_to_plain(tiny_config, tiny_params, names, "end", specific, 2)
    assert len(layout.buckets) == 3
    assert (len(layout.buckets[0].eos) > 1) == (chunk_tokens == 9)


def equal_to_plain(tiny_config, tiny_params, names, place, specific, layers):
    text, params = tiny_config.text, tiny_params["text"]
    rng = np.random.default_rng(0)
    shape = (len(names), SLOTS, 16) if specific else (SLOTS, 16)
    context, deep, weight = (
        jnp.asarray(rng.standard_normal(shape), jnp.float32)
        for shape in (shape, (layers, SLOTS, 16), (len(names), 10))
    )
    whole = prompts(names, place)
    layout = make_layout(*whole, specific)
    expected = slow(text, params, whole, context, deep, weight)
    close(fast(text, params, layout, context, deep, weight), expected)
    assert all(float(jnp.abs(g).max()) > 1e-3 for g in expected[1] if g.size)
    return layout


def test_too_many_deep_prompts_are_refused(tiny_config, tiny_params):
    layout = make_layout(*prompts([[1]], "end"), False)
    deep = jnp.zeros((3, SLOTS, 16))
    with pytest.raises(ValueError, match="3 deep prompts for 3 layers"):
        encode_prompts(tiny_config.text, tiny_params["text"], layout, deep[0], deep)


def test_padding_after_eos_does_not_matter(tiny_config, tiny_params):
    layout = make_layout(*prompts(LENGTHS, "end"), False)
    (bucket,) = layout.buckets
    after = np.arange(bucket.ids.shape[-1]) > bucket.eos[..., None]
    assert after.any()
    filled = bucket._replace(ids=np.where(after, 7, bucket.ids))
    other = layout._replace(buckets=(filled,))
    args = (tiny_config.text, tiny_params["text"])
    context = jnp.ones((SLOTS, 16))
    np.testing.assert_array_equal(
        encode(*args, layout, context), encode(*args, other, context)
    )


def test_the_prefix_is_never_copied_for_each_class(tiny_config, tiny_params):
    """31 classes, 11 shared positions: no array has both, and a width beside them."""
    names = [[*range(7), *[i % 7] * (1 + i % 3)] for i in range(31)]
    layout = make_layout(*prompts(names, "end"), False)
    assert len(layout.prefix_ids) == 11

    def run(context):
        return encode_prompts(tiny_config.text, tiny_params["text"], layout, context)

    grad = jax.grad(lambda context: run(context).sum())
    shapes = list(float_shapes(jax.make_jaxpr(grad)(jnp.ones((SLOTS, 16))).jaxpr))
    assert any({31, 11} <= set(shape) for shape in shapes)  # scores
    assert not [s for s in shapes if {31, 11} <= set(s) and {8, 16} & set(s)]
    assert not [s for s in shapes if LENGTH in s and s != (LENGTH, 16)]


def float_shapes(jaxpr):
    """The shapes of all float arrays that a program computes."""
    for eqn in jaxpr.eqns:
        for out in eqn.outvars:
            if jnp.issubdtype(out.aval.dtype, jnp.floating):
                yield out.aval.shape
        for inner in jax.extend.core.jaxprs_in_params(eqn.params):
            yield from float_shapes(inner)


def test_whole_texts_equal_the_plain_encoding(tiny_config, tiny_params):
    ids, slot, eos = prompts(LENGTHS, "end")
    text, params = tiny_config.text, tiny_params["text"]
    whole = compiled(encode_text)
    context = jnp.broadcast_to(params["token_embedding"][0], (SLOTS, 16))
    expected = plain(text, params, ids, slot, eos, context, None)
    close(whole(text, params, ids), expected)
    close(whole(text, params, ids[:, : eos.max() + 1]), expected)
    close(
        encode(text, params, make_layout(ids, slot, eos, False), context),
        expected,
    )


def test_embed_tokens_looks_up_rows(tiny_params):
    found = embed_tokens(tiny_params["text"], jnp.array([[3, 5]]))
    np.testing.assert_array_equal(
        found[0], tiny_params["text"]["token_embedding"][np.array([3, 5])]
    )


def test_both_rules_of_where_a_text_is_read(tiny_config):
    ids = jnp.array([[12, 1, 5, 13, 5], [12, 5, 13, 5, 5]])
    first = dataclasses.replace(tiny_config.text, eos_token_id=5)
    np.testing.assert_array_equal(eos_position(first, ids), [2, 1])
    largest_id = dataclasses.replace(tiny_config.text, eos_token_id=2)
    np.testing.assert_array_equal(eos_position(largest_id, ids), [3, 2])


def test_bfloat16_parameters_give_float32_features_nearby(tiny_config, tiny_params):
    ids, slot, eos = prompts(LENGTHS, "end")
    half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), tiny_params["text"])
    layout = make_layout(ids, slot, eos, False)
    context = jnp.ones((SLOTS, 16))
    full = encode(tiny_config.text, tiny_params["text"], layout, context)
    low = encode(tiny_config.text, half, layout, context)
    assert low.dtype == jnp.float32
    np.testing.assert_allclose(low, full, atol=0.1 * float(jnp.abs(full).max()))

"""The text tower, over complete texts or with a prefix that all classes share.

A text is read at its EOS, by one of two rules of `transformers`: configurations with
`eos_token_id` 2, a mistake of the first files, read at the largest id of the text;
others at the first position that holds `eos_token_id`.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fdbpl_jax.clip.config import TextConfig
from fdbpl_jax.clip.layout import Bucket, PromptLayout
from fdbpl_jax.clip.packed import attention, attention_at_eos, end_to_end, eos_rows
from fdbpl_jax.clip.transformer import Block, layer_norm


class TextTower(nn.Module):
    """Embeddings, causal transformer, and the projection of EOS."""

    config: TextConfig
    projection: int

    def setup(self) -> None:
        """Define the parameters."""
        config, width = self.config, self.config.tower.width
        normal = nn.initializers.normal(0.02)
        self.token_embedding = self.param(
            "token_embedding", normal, (config.vocab_size, width)
        )
        self.position_embedding = self.param(
            "position_embedding", normal, (config.context_length, width)
        )
        self.layers = [Block(config.tower) for _ in range(config.tower.layers)]
        self.final_norm = layer_norm(config.tower)
        self.to_joint = nn.Dense(self.projection, use_bias=False)

    def __call__(self, ids: Int[Array, "C T"]) -> Float[Array, "C D"]:
        """See `encode_text`."""
        x = self.token_embedding[ids] + self.position_embedding[None, : ids.shape[1]]
        for layer in self.layers:
            x = layer(x, causal=True)
        eos = eos_position(self.config, ids)[:, None, None]
        return self._read(jnp.take_along_axis(x, eos, axis=1)[:, 0])

    def prompted(
        self,
        layout: PromptLayout,
        context: Float[Array, "*K L W"],
        deep: Float[Array, "J L W"] | None,
    ) -> Float[Array, "c D"]:
        """Encode one chunk of `encode_prompts`: buckets without their first axis.

        The shared prefix and all suffixes lie end to end, so that a dense layer is one
        product whatever the lengths; only attention splits them into buckets.
        """
        x = self._embed(layout, context)
        slot = end_to_end(layout.prefix_slot, [b.slot for b in layout.buckets])
        for i, layer in enumerate(self.layers):
            if deep is not None and 0 < i <= len(deep):
                x = _put(x, slot, deep[i - 1])
            key_value = layer.key_value(x)
            if i + 1 == len(self.layers):
                break  # only the last layer's outputs at EOS are used
            x = layer.finish(x, attention(layout, layer.query(x), *key_value))
        last = x[eos_rows(layout)]
        mixed = attention_at_eos(layout, layer.query(last), *key_value)
        return self._read(layer.finish(last, mixed))

    def _embed(
        self, layout: PromptLayout, context: Float[Array, "*K L W"]
    ) -> Float[Array, "N W"]:
        cut = len(layout.prefix_ids)
        prefix = self.token_embedding[layout.prefix_ids]
        if context.ndim == 2:  # contexts per class are never in the prefix
            prefix = _put(prefix, layout.prefix_slot, context)
        suffixes = []
        for bucket in layout.buckets:
            of_class = context if context.ndim == 2 else context[bucket.owner]
            placed = _put(self.token_embedding[bucket.ids], bucket.slot, of_class)
            end = cut + placed.shape[1]
            suffixes.append(placed + self.position_embedding[None, cut:end])
        return end_to_end(prefix + self.position_embedding[:cut], suffixes)

    def _read(self, x: Float[Array, "C W"]) -> Float[Array, "C D"]:
        return self.to_joint(self.final_norm(x)).astype(jnp.float32)


def init_text(config: TextConfig, projection: int, key: Array) -> dict[str, Any]:
    """Draw random parameters of a text tower, float32, as a nested dict."""
    ids = jnp.zeros((1, config.context_length), jnp.int32)
    return TextTower(config, projection).init(key, ids)["params"]


def eos_position(config: TextConfig, ids: Int[Array, "C T"]) -> Int[Array, " C"]:
    """Locate the EOS of each text by the rule of the configuration."""
    if config.eos_token_id == 2:
        return jnp.argmax(ids, -1)
    return jnp.argmax(ids == config.eos_token_id, -1)


def embed_tokens(
    params: dict[str, Any], ids: Int[Array, "*N T"]
) -> Float[Array, "*N T W"]:
    """Embed ids, without positions, in the parameters' dtype."""
    return params["token_embedding"][ids]


def encode_text(
    config: TextConfig, params: dict[str, Any], ids: Int[Array, "C T"]
) -> Float[Array, "C D"]:
    """Encode texts in the joint embedding: features in float32, not normalised.

    `ids` are SOS, words, EOS, then anything; T is at most `context_length`. The tower
    computes in the dtype of its parameters.
    """
    features: Any = _tower(config, params).apply({"params": params}, ids)
    return features


def encode_prompts(
    config: TextConfig,
    params: dict[str, Any],
    layout: PromptLayout,
    context: Float[Array, "L W"] | Float[Array, "C L W"],
    deep: Float[Array, "J L W"] | None = None,
) -> Float[Array, "C D"]:
    """Encode each class's prompt, the shared prefix only once.

    Equal, forward and backward, to `encode_text` of every class's complete token
    sequence with the context in its slots.

    Args:
      config, params, layout: of the tower, and from `layout.make_layout`.
      context: the context tokens of all classes, or per class (then the layout must
        be `class_specific`).
      deep: replacements of the hidden states at the context slots, `deep[j]` at the
        input of layer j + 1 (J less than the number of layers), for all classes alike.

    Raises:
      ValueError: more deep prompts than layers that can take them.
    """
    if deep is not None and len(deep) >= config.tower.layers:
        raise ValueError(f"{len(deep)} deep prompts for {config.tower.layers} layers")
    dtype = params["token_embedding"].dtype
    tower, context = _tower(config, params), context.astype(dtype)
    deep = None if deep is None else deep.astype(dtype)
    layout = jax.tree.map(jnp.asarray, layout)

    def encode(buckets: tuple[Bucket, ...]) -> Float[Array, "c D"]:
        chunk = layout._replace(buckets=buckets)
        inputs = (chunk, context, deep)
        features: Any = tower.apply({"params": params}, *inputs, method="prompted")
        return features

    if len(layout.buckets[0].eos) == 1:
        # Products are kept for the backward pass. What lies between them, three times
        # as much memory, is recomputed faster than read back.
        policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
        chunk = jax.tree.map(lambda array: array[0], layout.buckets)
        features = jax.checkpoint(encode, policy=policy)(chunk)
    else:  # only one chunk's hidden states are kept at a time
        chunks = jax.lax.map(jax.checkpoint(encode), layout.buckets)
        features = chunks.reshape(-1, chunks.shape[-1])
    return features[layout.place]


def _tower(config: TextConfig, params: dict[str, Any]) -> TextTower:
    return TextTower(config, params["to_joint"]["kernel"].shape[1])


def _put(
    x: Float[Array, "*N T W"],
    slot: Int[Array | np.ndarray, "*N T"],
    prompt: Float[Array, "*K L W"],
) -> Float[Array, "*N T W"]:
    # A product with zeros and ones, not a gather: its gradient is a product too, where
    # a gather's would be a scatter, slow and in no fixed order on a GPU.
    chosen = jax.nn.one_hot(slot, prompt.shape[-2], dtype=prompt.dtype)
    placed = jnp.matmul(chosen, prompt, precision=jax.lax.Precision.HIGHEST)
    return jnp.where(slot[..., None] >= 0, placed, x)

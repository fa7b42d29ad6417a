"""The pre-norm transformer block of CLIP, in pieces for the shared-prefix pass."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.clip.config import TowerConfig
from fdbpl_jax.device import has_bfloat16


def layer_norm(config: TowerConfig) -> nn.LayerNorm:
    """Make a LayerNorm with CLIP's epsilon; two passes keep float32 parity."""
    return nn.LayerNorm(epsilon=config.norm_eps, use_fast_variance=False)


class Block(nn.Module):
    """Attention and MLP, each with its LayerNorm before and its residual after.

    `query`, `key_value` and `finish` are the pieces of `__call__`: the text tower
    combines them with keys that all classes share.
    """

    config: TowerConfig

    def setup(self) -> None:
        """Define the parameters."""
        width = self.config.width
        self.norm1 = layer_norm(self.config)
        self.query_proj = nn.Dense(width)
        self.key_proj = nn.Dense(width)
        self.value_proj = nn.Dense(width)
        self.out_proj = nn.Dense(width)
        self.norm2 = layer_norm(self.config)
        self.fc1 = nn.Dense(self.config.mlp_width)
        self.fc2 = nn.Dense(width)

    def __call__(self, x: Float[Array, "B T W"], causal: bool) -> Float[Array, "B T W"]:
        """Apply the layer to complete sequences."""
        return self.finish(x, attend(self.query(x), *self.key_value(x), causal))

    def query(self, x: Float[Array, "*N W"]) -> Float[Array, "*N H d"]:
        """Compute the queries of hidden states, per head, not yet scaled."""
        return self._heads(self.query_proj(self.norm1(x)))

    def key_value(
        self, x: Float[Array, "*N W"]
    ) -> tuple[Float[Array, "*N H d"], Float[Array, "*N H d"]]:
        """Compute the keys and values of hidden states, per head."""
        normed = self.norm1(x)
        return self._heads(self.key_proj(normed)), self._heads(self.value_proj(normed))

    def finish(
        self, x: Float[Array, "*N W"], mixed: Float[Array, "*N H d"]
    ) -> Float[Array, "*N W"]:
        """Compute the layer's output from its input and the result of attention."""
        x = x + self.out_proj(mixed.reshape(x.shape))
        hidden = self.fc1(self.norm2(x))
        if self.config.activation == "quick_gelu":
            hidden = hidden * jax.nn.sigmoid(1.702 * hidden)
        else:
            hidden = jax.nn.gelu(hidden, approximate=False)
        return x + self.fc2(hidden)

    def _heads(self, x: Float[Array, "*N W"]) -> Float[Array, "*N H d"]:
        return x.reshape(*x.shape[:-1], self.config.heads, -1)


def attend(
    query: Float[Array, "*N T H d"],
    key: Float[Array, "*N T H d"],
    value: Float[Array, "*N T H d"],
    causal: bool,
) -> Float[Array, "*N T H d"]:
    """Attend over complete sequences, softmax in float32.

    Fused where possible: cuDNN takes half precision on NVIDIA's Ampere and later.
    Elsewhere XLA computes the same. Texts (causal) are too short to gain.
    """
    on_gpu = jax.default_backend() == "gpu" and has_bfloat16()
    fused = on_gpu and not causal and query.dtype.itemsize == 2
    return jax.nn.dot_product_attention(
        query, key, value, is_causal=causal, implementation="cudnn" if fused else "xla"
    )


def shared_prefix_attention(
    query: Float[Array, "C Q H d"],
    prefix: tuple[Float[Array, "P H d"], Float[Array, "P H d"]],
    suffix: tuple[Float[Array, "C S H d"], Float[Array, "C S H d"]],
    mask: Float[Array, "#C Q S"],
) -> Float[Array, "C Q H d"]:
    """Attend from each class's suffix to itself and to a prefix that all classes share.

    One softmax over prefix and suffix, computed as two partial sums with a common
    maximum, so that neither the prefix keys are copied per class nor the two sets of
    scores concatenated.

    Args:
      query: of the suffix positions asked for (all S of them, or EOS alone).
      prefix: keys and values of the shared positions, all visible to every query.
      suffix: keys and values of each class's own positions.
      mask: 0 where a query may see a suffix position, minus infinity where not.
    """
    (prefix_key, prefix_value), (key, value) = prefix, suffix
    query = query * query.shape[-1] ** -0.5
    product = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)
    prefix_score = product("cqhd,phd->chqp", query, prefix_key)
    suffix_score = product("cqhd,cshd->chqs", query, key) + mask[:, None]
    tops = [score.max(-1, keepdims=True) for score in (prefix_score, suffix_score)]
    # The maximum cancels between the sums: its gradient is zero.
    top = jax.lax.stop_gradient(jnp.maximum(*tops))
    prefix_weight = jnp.exp(prefix_score - top)
    suffix_weight = jnp.exp(suffix_score - top)
    total = prefix_weight.sum(-1) + suffix_weight.sum(-1)
    mixed = jnp.einsum(
        "chqp,phd->cqhd", prefix_weight.astype(value.dtype), prefix_value
    ) + jnp.einsum("chqs,cshd->cqhd", suffix_weight.astype(value.dtype), value)
    return mixed / total.swapaxes(1, 2)[..., None].astype(value.dtype)

"""The pre-norm transformer block of CLIP, cut where the shared-prefix pass needs it."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.clip.config import TowerConfig


def activate(name: str, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The non-linearity: "quick_gelu" is x * sigmoid(1.702 x), "gelu" the exact one."""
    if name == "quick_gelu":
        return x * jax.nn.sigmoid(1.702 * x)
    return jax.nn.gelu(x, approximate=False)


def layer_norm(config: TowerConfig) -> nn.LayerNorm:
    """LayerNorm with CLIP's epsilon; the two-pass variance keeps float32 parity."""
    return nn.LayerNorm(epsilon=config.norm_eps, use_fast_variance=False)


class Block(nn.Module):
    """Attention and MLP, each with its LayerNorm before and its residual after.

    `query`, `key_value` and `finish` are the pieces of `__call__`: the text tower puts
    them together another way, with keys that all classes share.
    """

    config: TowerConfig

    def setup(self) -> None:
        """Name the parameters."""
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
        """One layer over whole sequences."""
        mixed = attend(self.query(x), *self.key_value(x), causal=causal)
        return self.finish(x, mixed)

    def query(self, x: Float[Array, "*N W"]) -> Float[Array, "*N H d"]:
        """Queries of hidden states, a head at a time, not yet scaled."""
        return self._heads(self.query_proj(self.norm1(x)))

    def key_value(
        self, x: Float[Array, "*N W"]
    ) -> tuple[Float[Array, "*N H d"], Float[Array, "*N H d"]]:
        """Keys and values of hidden states, a head at a time."""
        normed = self.norm1(x)
        return self._heads(self.key_proj(normed)), self._heads(self.value_proj(normed))

    def finish(
        self, x: Float[Array, "*N W"], mixed: Float[Array, "*N H d"]
    ) -> Float[Array, "*N W"]:
        """The layer's output, given its input and what attention brought to it."""
        x = x + self.out_proj(mixed.reshape(x.shape))
        hidden = activate(self.config.activation, self.fc1(self.norm2(x)))
        return x + self.fc2(hidden)

    def _heads(self, x: Float[Array, "*N W"]) -> Float[Array, "*N H d"]:
        return x.reshape(*x.shape[:-1], self.config.heads, -1)


def attend(
    query: Float[Array, "*N T H d"],
    key: Float[Array, "*N T H d"],
    value: Float[Array, "*N T H d"],
    causal: bool,
) -> Float[Array, "*N T H d"]:
    """Attention over whole sequences, softmax in float32.

    Fused where the backend can: cuDNN takes half precision on NVIDIA's Ampere and its
    successors. Elsewhere XLA computes the same. Texts (causal) are too short to gain.
    """
    fused = not causal and query.dtype.itemsize == 2 and _has_cudnn_attention()
    return jax.nn.dot_product_attention(
        query, key, value, is_causal=causal, implementation="cudnn" if fused else "xla"
    )


def _has_cudnn_attention() -> bool:
    # Only NVIDIA's devices have a compute capability; AMD's are named otherwise.
    capability = getattr(jax.devices()[0], "compute_capability", "")
    major = str(capability).partition(".")[0]
    return major.isdecimal() and int(major) >= 8


def shared_prefix_attention(
    query: Float[Array, "C Q H d"],
    prefix_key: Float[Array, "P H d"],
    prefix_value: Float[Array, "P H d"],
    key: Float[Array, "C S H d"],
    value: Float[Array, "C S H d"],
    mask: Float[Array, "#C Q S"],
) -> Float[Array, "C Q H d"]:
    """Attention of each class's own positions to a prefix that all classes share.

    One softmax over prefix and suffix, computed as two partial sums with a common
    maximum, so that neither the prefix keys are copied for every class nor the two sets
    of scores put side by side.

    Args:
      query: of the suffix positions asked for (all S of them, or EOS alone).
      prefix_key: of the P shared positions, all of which every query may see.
      prefix_value: the values that go with them.
      key: of each class's S suffix positions.
      value: the values that go with them.
      mask: 0 where a query may see a suffix position, minus infinity where not.

    Returns:
      The attention-weighted values.
    """
    query = query * query.shape[-1] ** -0.5
    product = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)
    prefix_score = product("cqhd,phd->chqp", query, prefix_key)
    own_score = product("cqhd,cshd->chqs", query, key) + mask[:, None]
    top = jnp.maximum(
        prefix_score.max(-1, keepdims=True), own_score.max(-1, keepdims=True)
    )
    # The maximum cancels between the sums: its gradient is zero, and need not be taken.
    top = jax.lax.stop_gradient(top)
    prefix_weight = jnp.exp(prefix_score - top)
    own_weight = jnp.exp(own_score - top)
    total = prefix_weight.sum(-1) + own_weight.sum(-1)
    mixed = jnp.einsum(
        "chqp,phd->cqhd", prefix_weight.astype(value.dtype), prefix_value
    ) + jnp.einsum("chqs,cshd->cqhd", own_weight.astype(value.dtype), value)
    return mixed / total.swapaxes(1, 2)[..., None].astype(value.dtype)

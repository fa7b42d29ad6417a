"""A dense layer as a dict, started as PyTorch starts one."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def init_linear(key: Array, wide: int, out: int) -> dict[str, Array]:
    """{"kernel": [wide out], "bias": [out]}, float32, as `torch.nn.Linear` starts.

    Both are uniform within ±1/√wide.
    """
    bound = wide**-0.5
    kernel, bias = jax.random.split(key)
    return {
        "kernel": jax.random.uniform(kernel, (wide, out), jnp.float32, -bound, bound),
        "bias": jax.random.uniform(bias, (out,), jnp.float32, -bound, bound),
    }


def apply_linear(
    layer: dict[str, Array], x: Float[Array, "B wide"]
) -> Float[Array, "B out"]:
    """`x @ kernel + bias`."""
    return x @ layer["kernel"] + layer["bias"][None]

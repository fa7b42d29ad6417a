"""What matrix products the device really does in a second."""

import time

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

CHAIN = 8  # products one after the other in a call, so that the call itself is free


def matmul_ceiling(dtype: DTypeLike, size: int) -> float:
    """Operations a second of large square matrix products, the best of five calls.

    Args:
      dtype: of the factors and of the product.
      size: rows and columns; thousands on an accelerator.
    """
    keys = jax.random.split(jax.random.key(0))
    # Random values: a GPU multiplies zeros at a higher clock. This scale keeps them.
    start, factor = (jax.random.normal(key, (size, size), dtype) for key in keys)
    factor = factor / jnp.asarray(size**0.5, dtype)
    seconds = []
    for _ in range(6):
        begin = time.perf_counter()
        _multiply(start, factor).block_until_ready()
        seconds.append(time.perf_counter() - begin)
    return 2 * size**3 * CHAIN / min(seconds[1:])


@jax.jit
def _multiply(
    start: Float[Array, "N N"], factor: Float[Array, "N N"]
) -> Float[Array, "N N"]:
    product = start
    for _ in range(CHAIN):  # written out: a loop may copy what it carries
        product = product @ factor
    return product

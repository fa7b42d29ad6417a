"""Measured rate of matrix products on the device."""

import time

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

CHAIN = 8  # consecutive products per call, so that the cost of the call is negligible


def matmul_ceiling(dtype: DTypeLike, size: int) -> float:
    """Measure operations per second of large square matrix products; best of 5 calls.

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
    for _ in range(CHAIN):  # unrolled: a loop may copy its state
        product = product @ factor
    return product

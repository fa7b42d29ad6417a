"""What matrix products the device really does in a second."""

import functools
import time

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float


def matmul_ceiling(dtype: DTypeLike, size: int, chain: int, repeats: int = 5) -> float:
    """Operations a second of large square matrix products; the best of `repeats`.

    Args:
      dtype: of the factors and of the product.
      size: rows and columns; thousands on an accelerator.
      chain: products one after the other in a call, so that the call itself is free.
      repeats: calls timed, after one that is not.
    """
    keys = jax.random.split(jax.random.key(0))
    # Random values: a GPU multiplies zeros at a higher clock. This scale keeps them.
    start, factor = (jax.random.normal(key, (size, size), dtype) for key in keys)
    factor = factor / jnp.asarray(size**0.5, dtype)
    seconds = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        _multiply(start, factor, chain).block_until_ready()
        seconds.append(time.perf_counter() - begin)
    return 2 * size**3 * chain / min(seconds[1:])


@functools.partial(jax.jit, static_argnames="chain")
def _multiply(
    start: Float[Array, "N N"], factor: Float[Array, "N N"], chain: int
) -> Float[Array, "N N"]:
    return jax.lax.fori_loop(0, chain, lambda _, x: x @ factor, start)

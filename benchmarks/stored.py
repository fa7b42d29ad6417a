"""Our training steps on stored features, without loading PyTorch."""

import dataclasses
import time

import jax

from benchmarks import problem as given
from benchmarks.timing import Side
from fdbpl_jax.config import OptimConfig
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.training.state import init_state
from fdbpl_jax.training.step import run_steps

_SEED = 0


def stored_side(
    problem: given.Problem, joint: int, method: str, batch: int, steps: int
) -> Side:
    """Return our updates on stored features, several per compiled call.

    The batches are already on the device, as the rows of an epoch are. Any transfer
    within the call is an error.
    """
    optim = optim_of(method, batch)
    setup = given.make_setup(problem, method, optim)
    hyper, frozen = given.make_hyper(optim), given.make_frozen(problem)
    host = given.make_batches(problem.classes, joint, steps, batch, _SEED)
    batches = jax.device_put(host)
    state = init_state(setup, given.make_prompts(problem, method))
    start = time.perf_counter()
    compiled = run_steps.lower(setup, state, hyper, frozen, batches).compile()
    seconds = time.perf_counter() - start

    def run() -> None:
        nonlocal state
        with jax.transfer_guard("disallow"):
            state, metrics = compiled(state, hyper, frozen, batches)
            jax.block_until_ready((state, metrics))

    return Side(our_name(method), run, steps, seconds)


def our_name(method: str) -> str:
    """Return the name of our side of a method."""
    return f"{method}, ours"


def optim_of(method: str, batch: int) -> OptimConfig:
    """The method's recipe at another batch size."""
    return dataclasses.replace(METHODS[method].optim, batch_size=batch)

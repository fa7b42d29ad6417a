"""Compiling the updates of cells ahead, for the processes that will train them."""

from collections.abc import Sequence

from fdbpl_jax.config import RunConfig
from fdbpl_jax.experiments.assemble import (
    Job,
    Stage,
    first_state,
    frozen_parts,
    source_of,
    step_setup,
)
from fdbpl_jax.training.step import run_steps


def compile_steps(run: RunConfig, stage: Stage, jobs: Sequence[Job]) -> None:
    """Runs the first call of every kind of cell and forgets what it gives.

    With `device.keep_compiled` other processes find the programs. Those of several
    runs at once (`sweep.at_once`) are others and are not made here.
    """
    kinds = {step_setup(run, stage, job): job for job in jobs}
    for setup, job in kinds.items():
        source = source_of(run, stage, job)
        batches = source.prepare(next(source.loader))
        state = first_state(run, stage, setup, job)
        run_steps(setup, state, frozen_parts(run, stage, job), batches)

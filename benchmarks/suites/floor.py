"""The minimal arithmetic of a training step, and the time measured relative to it."""

from collections.abc import Callable

import numpy as np
from ml_collections import ConfigDict

from benchmarks import problem as given
from benchmarks.ceiling import matmul_ceiling
from benchmarks.flops import prompts_flops, step_flops
from benchmarks.section import Section, markdown_table
from benchmarks.sizes import config_of
from benchmarks.stored import stored_side
from benchmarks.timing import in_turns
from fdbpl_jax.clip.config import ClipConfig
from fdbpl_jax.device import tower_dtype

_METHODS = ("coop", "coop+fdbpl")
_SEED = 0


def measure(sizes: ConfigDict, log: Callable[[str], None]) -> Section:
    """Count a step's operations, and time it and large matrix products.

    Args:
      sizes: student (a name in `benchmarks.sizes`), classes (to go through), batch,
        steps (in a compiled call), repeats, ceiling_size (rows of the matrices that
        give the ceiling).
      log: takes a line.
    """
    config, rows, data = config_of(sizes.student), [], {}
    dtype = tower_dtype("")
    for classes in sizes.classes:
        sides = _sides(config, classes, sizes)
        before = matmul_ceiling(dtype, sizes.ceiling_size)
        timings = in_turns(sides, sizes.repeats, log)
        ceiling = max(before, matmul_ceiling(dtype, sizes.ceiling_size))
        for method, timing in zip(_METHODS, timings, strict=True):
            needed = _needed(config, method, classes, sizes.batch)
            floor = needed / ceiling
            share = f"{100 * floor / timing.median:.0f} %"
            cells = [f"{needed / 1e9:.4g}", f"{1e3 * floor:.4g}", timing.shown(), share]
            rows.append([f"{method}, {classes} classes", *cells])
        data[classes] = {
            "ceiling": ceiling,
            "timings": [timing.to_json() for timing in timings],
        }
    header = ["step", "GFLOP needed", "ms at the ceiling", "ms measured", "share"]
    reached = " and ".join(f"{found['ceiling'] / 1e9:.4g}" for found in data.values())
    lines = [
        f"{sizes.student}'s text tower, batch {sizes.batch}, {dtype}: matrix "
        "products that no shortcut we know avoids (shared prefix once, no padding, no "
        "weight gradients), at the rate of large products measured in the same run, "
        f"{reached} GFLOP/s.",
        "",
        *markdown_table(header, rows),
    ]
    return Section("Floor", lines, [], data)


def _sides(config: ClipConfig, classes: int, sizes: ConfigDict) -> list:
    params = given.random_text(config.text, config.projection, _SEED)
    problem = given.make_problem(config, classes, _SEED, params)
    return [
        stored_side(problem, config.projection, method, sizes.batch, sizes.steps)
        for method in _METHODS
    ]


def _needed(config: ClipConfig, method: str, classes: int, batch: int) -> int:
    suffixes = given.name_lengths(classes, _SEED) + 2  # name, ".", EOS
    prompts = given.branch_count(method)
    text = prompts_flops(
        config.text, config.projection, 1 + given.CONTEXT, np.asarray(suffixes)
    )
    return step_flops(prompts * text, prompts * classes, batch, config.projection)

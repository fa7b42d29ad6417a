"""One training step and its peak memory, in a process for the memory suite.

python -m benchmarks.memory_child coop+fdbpl 1000 128 ViT-B/32
"""

import ctypes
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from fdbpl_jax.signals import end_by_signals

os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"

_SEED = 0


def main() -> None:
    side, classes, batch, student = sys.argv[1:]
    run = _torch if side == "torch" else _ours
    peak = run(side, int(classes), int(batch), student)
    print(json.dumps({"side": side, "classes": int(classes), "peak": peak}))


def _ours(method: str, classes: int, batch: int, student: str) -> int:
    import jax

    from benchmarks import problem as given
    from benchmarks.sizes import config_of
    from benchmarks.stored import stored_side

    config = config_of(student)
    params = given.random_text(config.text, config.projection, _SEED)
    problem = given.make_problem(config, classes, _SEED, params)
    side = stored_side(problem, config.projection, method, batch, steps=1)
    if jax.default_backend() == "cpu":
        return _process_peak(side.run)
    side.run()
    return jax.devices()[0].memory_stats()["peak_bytes_in_use"]


def _torch(_: str, classes: int, batch: int, student: str) -> int:
    import torch

    from benchmarks import problem as given
    from benchmarks.sizes import config_of
    from benchmarks.torch_clip import torch_device
    from benchmarks.torch_reference.prompts import Prompt, class_logits
    from benchmarks.torch_reference.towers import text_tower

    config = config_of(student)
    params = given.random_text(config.text, config.projection, _SEED)
    problem = given.make_problem(config, classes, _SEED, params)
    tower = text_tower(problem.text, problem.params)
    prompt = Prompt(tower, problem, problem.text.context_length).to(torch_device())
    feature = torch.randn(batch, config.projection, device=torch_device())
    label = torch.zeros(batch, dtype=torch.long, device=torch_device())
    del tower

    def run() -> None:
        with torch.autocast(
            torch_device().type, torch.bfloat16, torch_device().type == "cuda"
        ):
            logits = class_logits(torch.nn.functional.normalize(feature), prompt())
        torch.nn.functional.cross_entropy(logits, label).backward()

    if torch_device().type == "cpu":
        return _process_peak(run)
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated()


def _process_peak(run: Callable[[], None]) -> int:
    """Measure this process's peak memory in bytes during `run` (Linux)."""
    # Return memory that compilation has freed, and reset the peak.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    run()
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


if __name__ == "__main__":
    end_by_signals()
    main()

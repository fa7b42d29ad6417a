"""A CoOp step and a FDBPL step of ours against a plain PyTorch CoOp step.

    python -m benchmarks.step --out=step_benchmark

The text tower of ViT-B/32 with random weights, stored image features, and all of a
step: forward, backward and update. Needs PyTorch. Some 10 minutes on 2 cores, nearly
all of it PyTorch's at 500 classes; `--classes=50` takes 3.
"""

import json
import sys
import time
from pathlib import Path

import jax
import numpy as np
import torch
from absl import flags

from benchmarks import problem as given
from benchmarks.report import TORCH, TORCH_CUT, markdown, our_name
from benchmarks.timing import Side, Timing, cores, in_turns, load, machine
from benchmarks.torch_coop import TorchCoop, make_step
from fdbpl_jax.cli import run_app
from fdbpl_jax.config import METHOD_OPTIM
from fdbpl_jax.step import init_state, run_steps

_CLASSES = flags.DEFINE_list("classes", ["50", "500"], "Numbers of classes.")
_REPEATS = flags.DEFINE_integer("repeats", 7, "Timed runs of a side.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 4, "Our steps a compiled call.", lower_bound=2)
_OUT = flags.DEFINE_string("out", None, "Folder for step.json and step.md.")

_SEED = 0


def main() -> None:
    """Measures, prints the tables and writes them."""
    torch.set_num_threads(cores())
    result = {"machine": machine(), "load_before": load()}
    timings = {}
    for classes in map(int, _CLASSES.value):
        _log(f"{classes} classes")
        timings[classes] = measure(classes)
    result["load_after"] = load()
    text = markdown(result, timings, f"python -m benchmarks.step {_arguments()}")
    _log(text)
    result["timings"] = {
        classes: [t.to_json() for t in measured]
        for classes, measured in timings.items()
    }
    out = Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    (out / "step.json").write_text(json.dumps(result, indent=2) + "\n")
    (out / "step.md").write_text(text)


def measure(classes: int) -> list[Timing]:
    """All sides at one number of classes."""
    problem = given.make_problem(given.VIT_B32, given.JOINT, classes, _SEED)
    sides = [
        our_side(problem, method, steps)
        for method in ("coop", "coop+fdbpl")
        for steps in (_STEPS.value, 1)
    ]
    sides += [
        torch_side(problem, TORCH, problem.text.context_length),
        torch_side(problem, TORCH_CUT, int(problem.eos.max()) + 1),
    ]
    return in_turns(sides, _REPEATS.value, _log)


def our_side(problem: given.Problem, method: str, steps: int) -> Side:
    """Updates in one compiled call, at the method's own batch size.

    The batches are on the device beforehand, as an epoch's slab is. Any transfer within
    the call is an error.
    """
    setup = given.make_setup(problem, method)
    frozen = given.make_frozen(problem, method)
    batch = setup.optim.batch_size
    host = given.make_batches(problem.classes, given.JOINT, steps, batch, _SEED)
    batches = jax.device_put(host)
    state = init_state(setup, given.make_prompts(problem, method))
    start = time.perf_counter()
    compiled = run_steps.lower(setup, state, frozen, batches).compile()
    seconds = time.perf_counter() - start

    def run() -> None:
        nonlocal state
        with jax.transfer_guard("disallow"):
            state, metrics = compiled(state, frozen, batches)
            jax.block_until_ready((state, metrics))

    return Side(our_name(method, steps), run, steps, seconds)


def torch_side(problem: given.Problem, name: str, tokens: int) -> Side:
    """One update of PyTorch's, on the batch that our CoOp gets first."""
    optim = METHOD_OPTIM["coop"]
    step = make_step(TorchCoop(problem, tokens), optim)
    rows = given.make_batches(problem.classes, given.JOINT, 1, optim.batch_size, _SEED)
    feature = torch.from_numpy(rows.feature[0].astype(np.float32))
    label = torch.from_numpy(rows.label[0]).long()
    return Side(name, lambda: step(feature, label).item())


def _arguments() -> str:
    return " ".join(a for a in sys.argv[1:] if not a.startswith("--out"))


def _log(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    run_app(main, required=["out"])

"""Speed and memory compared with PyTorch: one command writes JSON and Markdown.

  python -m benchmarks.run --config=benchmarks/configs/small.py --out=bench
  python -m benchmarks.run --config=benchmarks/configs/full.py --suite=train --out=bench

The two sides of a comparison alternate in one run. Needs the `reference` extra. The
small preset takes some 10 minutes on 2 CPU cores, the full one is for a GPU.
"""

import json
import os
import sys
from pathlib import Path

# JAX would preallocate most of a GPU's memory, and PyTorch needs some of it too.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import torch
from absl import flags
from ml_collections import config_flags

from benchmarks.report import markdown
from benchmarks.section import Section
from benchmarks.suites import (
    encoders,
    floor,
    memory,
    methods,
    ril_build,
    ril_io,
    train,
    whole_job,
)
from benchmarks.timing import cores, load, machine
from fdbpl_jax.cli import path_flag, run_app
from fdbpl_jax.signals import end_by_signals

SUITES = {
    "train": train.measure,
    "methods": methods.measure,
    "whole_job": whole_job.measure,
    "ril_io": ril_io.measure,
    "ril_build": ril_build.measure,
    "encoders": encoders.measure,
    "memory": memory.measure,
    "floor": floor.measure,
}

_CONFIG = config_flags.DEFINE_config_file("config", None, "The sizes: a preset.")
_SUITE = flags.DEFINE_multi_enum("suite", ["all"], [*SUITES, "all"], "Repeatable.")
_OUT = path_flag("out", None, "Folder for benchmark.json and benchmark.md.")


def main() -> None:
    """Run the requested suites and write the report after each of them."""
    wanted = _SUITE.value
    if "all" in wanted:
        wanted = [name for name in SUITES if name in _CONFIG.value]
    facts = {
        "machine": machine(),
        "command": f"python -m benchmarks.run {_arguments()}",
        "config": _CONFIG.value.to_dict(),
        "load_before": load(),
    }
    sections: list[Section] = []
    for name in wanted:
        _log(f"== {name}")
        torch.set_num_threads(cores())
        sections.append(SUITES[name](_CONFIG.value[name], _log))
        _write(Path(_OUT.value), facts | {"load_after": load()}, sections)
    _log(markdown(facts | {"load_after": load()}, sections))


def _write(folder: Path, facts: dict, sections: list[Section]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmark.md").write_text(markdown(facts, sections))
    suites = {
        section.title: {
            "targets": [target._asdict() for target in section.targets],
            **section.data,
        }
        for section in sections
    }
    text = json.dumps(facts | {"suites": suites}, indent=2)
    (folder / "benchmark.json").write_text(text + "\n")


def _arguments() -> str:
    return " ".join(a for a in sys.argv[1:] if not a.startswith("--out"))


def _log(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    end_by_signals()
    run_app(main, required=["config", "out"])

"""Choosing settings on validation images: one line a setting, never a test image.

  python -m benchmarks.sweep --config=configs/base2new.py --method=coop+fdbpl \
      --grid=lr=0.02,0.1,0.5 --grid=lambda_diff1=0,0.1

Every combination of the grids is trained for each seed of the config and scored on
the `val` split of base and new classes. A grid's name is a field of the method's
optimiser or of `config.fdbpl`. `--out` keeps the table as Markdown.
"""

import dataclasses
import itertools
import statistics
import tempfile
from pathlib import Path

from absl import flags, logging
from ml_collections import config_flags

from fdbpl_jax.cli import run_app
from fdbpl_jax.config import FdbplConfig, OptimConfig, RunConfig, run_config
from fdbpl_jax.errors import UserError, unknown_name
from fdbpl_jax.evaluate import harmonic_mean
from fdbpl_jax.protocols import base2new
from fdbpl_jax.protocols.cell import run_cell

_CONFIG = config_flags.DEFINE_config_file("config", None, "Config file to start from.")
_WORKDIR = flags.DEFINE_string("workdir", "runs", "Where tables are built or found.")
_METHOD = flags.DEFINE_string("method", "coop+fdbpl", "The method to choose for.")
_GRID = flags.DEFINE_multi_string("grid", [], "name=value,value,…; repeatable.")
_OUT = flags.DEFINE_string("out", "", "A file to append the table to.")

_OPTIM = {field.name: field.type for field in dataclasses.fields(OptimConfig)}
_FDBPL = {field.name: field.type for field in dataclasses.fields(FdbplConfig)}


def main() -> None:
    grids = [_parse(text) for text in _GRID.value]
    run = run_config(_CONFIG.value)
    run = dataclasses.replace(
        run,
        methods=(_METHOD.value,),
        optim=((_METHOD.value, run.optim_of(_METHOD.value)),),
        eval_split="val",
    )
    lines = [
        "| data set | setting | base | new | HM |",
        "|---|---|---:|---:|---:|",
    ]
    for name in run.data.datasets:
        lines += _sweep_dataset(run, name, grids)
    text = "\n".join(lines) + "\n"
    print(text)
    if _OUT.value:
        with Path(_OUT.value).open("a") as file:
            file.write(f"\n{_METHOD.value}\n\n{text}")


def _parse(text: str) -> tuple[str, list]:
    name, _, values = text.partition("=")
    kind = _OPTIM.get(name) or _FDBPL.get(name)
    if kind is None:
        raise unknown_name("grid", name, [*_OPTIM, *_FDBPL])
    try:
        return name, [kind(value) for value in values.split(",")]
    except ValueError as error:
        raise UserError(f"grid '{text}': {error}", "Give name=value,value.") from error


def _sweep_dataset(run: RunConfig, name: str, grids: list) -> list[str]:
    workdir = Path(_WORKDIR.value)
    student, teacher = base2new.load_pair(run)
    dataset = base2new.open_dataset(run, name, workdir)
    prepared = base2new.prepare(run, dataset, student, teacher, workdir)
    lines = []
    for values in itertools.product(*(values for _, values in grids)):
        setting = dict(zip((grid for grid, _ in grids), values, strict=True))
        lines.append(_score(_with(run, setting), prepared, setting))
        logging.info(lines[-1])
    return lines


def _with(run: RunConfig, setting: dict) -> RunConfig:
    optim = {k: v for k, v in setting.items() if k in _OPTIM}
    fdbpl = {k: v for k, v in setting.items() if k in _FDBPL}
    ((method, own),) = run.optim
    return dataclasses.replace(
        run,
        optim=((method, dataclasses.replace(own, **optim)),),
        fdbpl=dataclasses.replace(run.fdbpl, **fdbpl),
    )


def _score(run: RunConfig, prepared: base2new.Prepared, setting: dict) -> str:
    cells = []
    for seed, dataset in prepared.of_seed.items():
        with tempfile.TemporaryDirectory() as folder:
            args = (dataset, run.methods[0], seed, Path(folder) / "cell")
            cells.append(run_cell(run, prepared.stage, *args))
    base = statistics.mean(cell.base for cell in cells)
    new = statistics.mean(cell.new for cell in cells)
    hm = statistics.mean(harmonic_mean(cell.base, cell.new) for cell in cells)
    words = " ".join(f"{key}={value:g}" for key, value in setting.items())
    return f"| {prepared.dataset.name} | {words} | {base:.2f} | {new:.2f} | {hm:.2f} |"


if __name__ == "__main__":
    run_app(main, required=("config",))

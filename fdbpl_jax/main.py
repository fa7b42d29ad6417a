"""Train and test methods by a protocol, and write the report.

python -m fdbpl_jax.main --config=configs/base2new.py
python -m fdbpl_jax.main --config=few_shot:folder --config.data.root=my_images
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags, logging
from ml_collections import config_flags

from fdbpl_jax import device
from fdbpl_jax.cli import path_flag, run_app, share_of, show, value_flag
from fdbpl_jax.config import Processes
from fdbpl_jax.experiments.plan import plan, plan_text
from fdbpl_jax.experiments.processes import Share, run_shares
from fdbpl_jax.experiments.reference import settings_text
from fdbpl_jax.experiments.run import prepare_all, refuse_failures, run
from fdbpl_jax.experiments.settings import find_config, run_config

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Config file; any value of it: --config.data.shots=8."
)
_WORKDIR = path_flag("workdir", "runs", "Where tables, cells and reports go.")
_ONLY = flags.DEFINE_list(
    "only", [], "Train only these of the config's methods; report the others unchanged."
)
_SKIP_BROKEN = flags.DEFINE_bool(
    "skip_broken_images", False, "Leave out images that cannot be read, and list them."
)
_DRY_RUN = flags.DEFINE_bool(
    "dry_run", False, "Print the cells, the tables' sizes and the time, and stop."
)
_PREPARE = flags.DEFINE_bool(
    "prepare",
    False,
    "Make tables, test features and programs, and stop: before several --shard.",
)
_JOBS = value_flag("jobs", 1, Processes, "Processes that share the cells.")
_SHARD = flags.DEFINE_string(
    "shard", "0/1", "index/count: train every count-th cell only."
)


def _command(words: Sequence[str]) -> None:
    _CONFIG.value.data.skip_broken_images |= _SKIP_BROKEN.value
    config = run_config(_CONFIG.value)
    share = Share(_ONLY.value, *share_of(_SHARD.value))
    device.require(config.platform)
    logging.info("computing on %s", device.describe())
    workdir = Path(_WORKDIR.value)
    device.keep_compiled(workdir / "compiled")
    if _DRY_RUN.value:
        logging.set_verbosity(logging.WARNING)  # of the probe's runs
        show(plan_text(config, plan(config, workdir)))
        return
    if _PREPARE.value:
        refuse_failures(prepare_all(config, workdir))
        return
    if _JOBS.value > 1:
        prepare_all(config, workdir)
        # A later flag goes over an earlier one.
        flags_of_each = [*words, "--jobs=1"]
        run_shares(_JOBS.value, flags_of_each, workdir / config.folder / "jobs")
    command = shlex.join(["python", "-m", "fdbpl_jax.main", *words])
    run(config, workdir, command, share)


def main() -> None:
    """Run the command of `sys.argv`."""
    words = sys.argv[1:]
    sys.argv = find_config(sys.argv)
    run_app(lambda: _command(words), required=("config",), more_help=settings_text)


if __name__ == "__main__":
    main()

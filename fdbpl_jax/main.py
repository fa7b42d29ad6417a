"""`python -m fdbpl_jax.main --config=configs/base2new.py`. Short on purpose."""

import sys
from pathlib import Path

from absl import flags, logging
from ml_collections import config_flags

from fdbpl_jax import device
from fdbpl_jax.cli import run_app
from fdbpl_jax.protocols.run import run
from fdbpl_jax.run_config import run_config

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Config file; any value of it: --config.data.shots=8."
)
_WORKDIR = flags.DEFINE_string("workdir", "runs", "Where tables, cells and reports go.")
_ONLY = flags.DEFINE_list(
    "only", [], "Train these of the config's methods now; the others as they stand."
)


def _main() -> None:
    config = run_config(_CONFIG.value)
    device.require(config.platform)
    logging.info("computing on %s", device.describe())
    workdir = Path(_WORKDIR.value)
    device.keep_compiled(workdir / "compiled")
    command = " ".join(["python -m fdbpl_jax.main", *sys.argv[1:]])
    run(config, workdir, command, _ONLY.value)


if __name__ == "__main__":
    run_app(_main, required=("config",))

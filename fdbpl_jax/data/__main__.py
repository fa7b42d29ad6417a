"""`python -m fdbpl_jax.data check --root=DATA`: what is there, missing or wrong."""

import sys
import time
from pathlib import Path

from absl import flags

from fdbpl_jax.cli import command_of, path_flag, run_app, show
from fdbpl_jax.data.catalogue import CATALOGUE
from fdbpl_jax.data.check import Finding, check_dataset
from fdbpl_jax.data.datasets import OWN
from fdbpl_jax.errors import unknown_name

_ROOT = path_flag("root", None, "The folder that holds the data sets.")
_DATASETS = flags.DEFINE_list(
    "datasets",
    [],
    "These must be there; default: any of all that are known. Own data: a folder or "
    "list below the root; or folder, csv or hf, if the root is itself one.",
)
_DECODE = flags.DEFINE_bool("decode", False, "Decode every image: slow and thorough.")


def _check() -> None:
    root = Path(_ROOT.value).absolute()
    for name in _DATASETS.value:
        if name not in (*CATALOGUE, *OWN) and not (root / name).exists():
            raise unknown_name("data set", name, [*CATALOGUE, *OWN])
    failed = False
    for name in _DATASETS.value or CATALOGUE:
        start = time.perf_counter()
        finding = check_dataset(name, root, _DECODE.value)
        show(_lines(finding, time.perf_counter() - start))
        failed |= bool(finding.problems) and (finding.there or bool(_DATASETS.value))
    if failed:
        sys.exit(1)


def _lines(finding: Finding, seconds: float) -> str:
    state = "OK" if not finding.problems else "WRONG" if finding.there else "–"
    parts = [f"{finding.name:<16}{state:<7}"]
    if finding.counts:
        counts = finding.counts
        parts.append(
            f"{counts.classes} classes; train {counts.train:,}, val {counts.val:,}, "
            f"test {counts.test:,}"
        )
        parts.append(f"({finding.files / max(seconds, 1e-9):,.0f} files/s)")
    elif not finding.there:
        return f"{parts[0]}{finding.problems[0]}"
    problems = [f"    {line}" for p in finding.problems for line in p.splitlines()]
    return "\n".join([" ".join(parts).rstrip(), *problems])


def main() -> None:
    """Run the command that `sys.argv` names."""
    name = command_of(sys.argv)

    def command() -> None:
        if name != "check":
            raise unknown_name("command", name, ["check"])
        _check()

    run_app(command, required=("root",))


if __name__ == "__main__":
    main()

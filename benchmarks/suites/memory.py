"""Peak memory of a training step, each in a separate process."""

import json
import sys
import tempfile
from collections.abc import Callable

from ml_collections import ConfigDict

from benchmarks.section import Section, Target, markdown_table
from fdbpl_jax.signals import start, wait

_GIB = 2**30
_MANY = 21_000  # classes, about ImageNet-21k's


def measure(sizes: ConfigDict, log: Callable[[str], None]) -> Section:
    """Run one step of each side for every number of classes.

    Args:
      sizes: student: a name in `benchmarks.sizes`. batch. ours, torch: the numbers of
        classes for which our FDBPL, and PyTorch's CoOp with full prompts, are run. at:
        the number at which they are compared.
      log: takes a line.
    """
    found: dict[str, dict[int, dict]] = {"coop+fdbpl": {}, "coop": {}, "torch": {}}
    counts = {"coop+fdbpl": sizes.ours, "coop": sizes.ours, "torch": sizes.torch}
    for side, all_classes in counts.items():
        for classes in all_classes:
            found[side][classes] = _child(side, classes, sizes)
            gib = found[side][classes]["peak"] / _GIB
            log(f"  {side}, {classes} classes: {gib:.2f} GiB")
    peak = {side: _peaks(of_side) for side, of_side in found.items()}
    compared = sizes.at not in peak["torch"]
    if compared:
        peak["torch"][sizes.at] = _extrapolated(peak["torch"], sizes.at)
    lines = [_intro(sizes, compared), "", *_table(peak)]
    targets = [
        Target(
            f"memory of PyTorch's CoOp over our FDBPL's, {sizes.at} classes",
            8,
            peak["torch"][sizes.at] / peak["coop+fdbpl"][sizes.at],
        )
    ]
    if _MANY in sizes.ours:
        room = 16e9 / peak["coop+fdbpl"][_MANY]
        targets.append(Target(f"16 GB over our FDBPL's, {_MANY} classes", 1, room))
    return Section("Memory of a training step", lines, targets, {"found": found})


def _child(side: str, classes: int, sizes: ConfigDict) -> dict:
    arguments = [side, str(classes), str(sizes.batch), sizes.student]
    command = [sys.executable, "-m", "benchmarks.memory_child", *arguments]
    with tempfile.TemporaryFile("w+") as output:
        status = wait(start(command, output))
        output.seek(0)
        lines = output.read().splitlines()
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {status}: {lines[-1:]}")
    return json.loads(lines[-1])


def _peaks(of_side: dict[int, dict]) -> dict[int, float]:
    return {classes: found["peak"] for classes, found in of_side.items()}


def _extrapolated(peak: dict[int, float], classes: int) -> float:
    """Extrapolate linearly from the two largest numbers of classes that were run."""
    (few, low), (many, high) = sorted(peak.items())[-2:]
    return high + (high - low) / (many - few) * (classes - many)


def _table(peak: dict[str, dict[int, float]]) -> list[str]:
    all_classes = sorted({classes for of_side in peak.values() for classes in of_side})
    rows = []
    for classes in all_classes:
        cells = [
            f"{of_side[classes] / _GIB:.2f}" if classes in of_side else "–"
            for of_side in peak.values()
        ]
        rows.append([str(classes), *cells])
    header = ["classes", "our FDBPL, GiB", "our CoOp", "PyTorch's CoOp, 77 tokens"]
    return markdown_table(header, rows)


def _intro(sizes: ConfigDict, extrapolated: bool) -> str:
    theirs = (
        f" PyTorch's at {sizes.at} classes is not run: it lies on the line through its "
        "two largest runs."
        if extrapolated
        else ""
    )
    return (
        f"{sizes.student}, batch {sizes.batch}, one process a cell: the most that it, "
        "or on a GPU its allocator, held during a step, weights included. Image towers "
        f"are left out on both sides.{theirs}"
    )

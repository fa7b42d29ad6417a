"""A training step, an epoch and a run of CoOp, KDPL and FDBPL, ours and PyTorch's.

PyTorch's CoOp and KDPL encode fresh views at every step, the released FDBPL stored
regions. Our steps read stored features, except KDPL's, whose teacher is online too.
Pixels are prepared before timing on all sides; `whole_job` includes loading.
"""

from collections.abc import Callable, Sequence

from ml_collections import ConfigDict

from benchmarks.section import Section, Target, markdown_table
from benchmarks.sides import (
    make_pair,
    online_side,
    torch_name,
    torch_side,
)
from benchmarks.stored import our_name, stored_side
from benchmarks.timing import Timing, in_turns

_SHOTS, _EPOCHS = 16, 50  # of the runs that step times are extrapolated to
_RIVAL = {
    "coop": "coop",
    "coop+kdpl": "coop+kdpl",
    "coop+fdbpl": "coop+fdbpl_release",
}
# Target speed-up of our FDBPL over each of these.
_TARGETS = {"coop+kdpl": 100, "coop+fdbpl_release": 25, "coop": 10}


def measure(sizes: ConfigDict, log: Callable[[str], None]) -> Section:
    """Time all sides for every number of classes and batch size.

    Args:
      sizes: student and teacher (names in `benchmarks.sizes`), classes and batches (to
        go through), steps (ours in a compiled call), repeats, once (methods whose sides
        with pixels run only once, unwarmed), kinds (of PyTorch, see `torch_side`).
      log: takes a line.
    """
    lines, targets, data = [_intro(sizes), ""], [], {}
    for classes in sizes.classes:
        for batch in sizes.batches:
            where = f"{classes} classes, batch {batch}"
            log(where)
            timings = _timings(sizes, classes, batch, log)
            lines += [f"{where}:", "", *_table(timings, sizes.kinds, classes, batch)]
            lines.append("")
            targets += _targets(timings, where)
            data[where] = [timing.to_json() for timing in timings.values()]
    return Section("Training step, epoch and run", lines, targets, data)


def _timings(
    sizes: ConfigDict, classes: int, batch: int, log: Callable[[str], None]
) -> dict[str, Timing]:
    pair = make_pair(sizes.student, sizes.teacher, classes)
    once = {method: 1 if method in sizes.once else None for method in _RIVAL.values()}
    sides = [
        stored_side(pair.problem, pair.student.projection, method, batch, sizes.steps)
        for method in ("coop", "coop+fdbpl")
    ]
    sides.append(online_side(pair, batch, once["coop+kdpl"]))
    sides += [
        torch_side(pair, method, batch, kind, once[method])
        for method in _RIVAL.values()
        for kind in sizes.kinds
    ]
    return {timing.name: timing for timing in in_turns(sides, sizes.repeats, log)}


def _table(
    timings: dict[str, Timing], kinds: Sequence[str], classes: int, batch: int
) -> list[str]:
    header = ["method", "ours, s a step", "compiling s", "an epoch", "a run"]
    for kind in kinds:
        header += [f"PyTorch {kind}, s a step", "an epoch", "a run", "ratio"]
    rows = []
    for method, rival in _RIVAL.items():
        ours = timings[our_name(method)]
        compiling = f"{ours.compile_seconds:.1f}"
        row = [method, ours.shown(1, 3), compiling, *_added(ours, classes, batch)]
        for kind in kinds:
            theirs = timings[torch_name(rival, kind)]
            row += [theirs.shown(1, 3), *_added(theirs, classes, batch)]
            row.append(f"{theirs.median / ours.median:.1f} ×")
        rows.append(row)
    return markdown_table(header, rows)


def _added(timing: Timing, classes: int, batch: int) -> list[str]:
    """Return the seconds of an epoch and of a run."""
    epoch = timing.median * (_SHOTS * classes // batch)
    return [_duration(epoch), _duration(epoch * _EPOCHS)]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def _targets(timings: dict[str, Timing], where: str) -> list[Target]:
    ours = timings[our_name("coop+fdbpl")].median
    return [
        Target(
            f"step of PyTorch's {method} over one of our coop+fdbpl, {where}",
            wanted,
            timings[torch_name(method, "whole")].median / ours,
        )
        for method, wanted in _TARGETS.items()
    ]


def _intro(sizes: ConfigDict) -> str:
    unwarmed = ", ".join(sizes.once) or "none"
    return (
        f"Student {sizes.student}, teacher {sizes.teacher}, random weights; "
        f"{sizes.steps} of our steps a call; {sizes.repeats} repeats (once, unwarmed: "
        f"{unwarmed}). Epochs and runs are the median step times the steps of {_SHOTS} "
        f"images a class and {_EPOCHS} epochs. Against 'coop+fdbpl' stands the "
        "released design with its two whole prompts and its live images."
    )

"""The measurements as Markdown."""

import statistics
from collections.abc import Sequence

from benchmarks.section import Section, markdown_table
from benchmarks.timing import Timing


def markdown(facts: dict, sections: Sequence[Section]) -> str:
    """The whole report, as it stands in docs/performance.md.

    Args:
      facts: "machine", "command", and the load before and after.
      sections: in the order of their suites.
    """
    machine = facts["machine"]
    names = ("python", "jax", "flax", "torch", "transformers")
    versions = ", ".join(f"{name} {machine[name]}" for name in names)
    load = f"load {facts['load_before']} before and {facts['load_after']} after"
    lines = [
        f"`{facts['command']}`",
        "",
        f"{machine['cpu']}; {machine['accelerator']}; {versions}; {load}. Medians; in "
        "brackets the fastest and the slowest repeat.",
    ]
    for section in sections:
        lines += ["", f"### {section.title}", "", *section.lines]
    return "\n".join([*lines, "", *_targets(sections)]) + "\n"


def spread(timing: Timing, unit: float = 1.0, digits: int = 3) -> str:
    """Median and range of a step, in units of `unit` seconds."""
    low, middle, high = (
        f"{seconds / unit:.{digits}f}"
        for seconds in (min(timing.wall), timing.median, max(timing.wall))
    )
    return f"{middle} [{low} – {high}]"


def timing_data(timings: Sequence[Timing]) -> list[dict]:
    """All that was measured, as JSON values."""
    return [
        {
            "name": t.name,
            "steps": t.steps,
            "compile_seconds": t.compile_seconds,
            "warm_up": t.warm_up,
            "wall": t.wall,
            "cpu": t.cpu,
            "median": statistics.median(t.wall),
        }
        for t in timings
    ]


def _targets(sections: Sequence[Section]) -> list[str]:
    rows = [
        [t.what, f"{t.wanted:g}", f"{t.found:.3g}", t.verdict()]
        for section in sections
        for t in section.targets
    ]
    if not rows:
        return []
    table = markdown_table(["target", "wanted", "found", ""], rows)
    return ["### Targets", "", *table]

"""Measurements as Markdown."""

from collections.abc import Sequence

from benchmarks.section import Section, markdown_table


def markdown(facts: dict, sections: Sequence[Section]) -> str:
    """Return the report that docs/performance.md contains.

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
        "brackets the fastest and the slowest run.",
    ]
    for section in sections:
        lines += ["", f"### {section.title}", "", *section.lines]
    return "\n".join([*lines, "", *_targets(sections)]) + "\n"


def _targets(sections: Sequence[Section]) -> list[str]:
    rows = [
        [t.what, f"{t.wanted:g}", t.found_text, t.verdict()]
        for section in sections
        for t in section.targets
    ]
    if not rows:
        return []
    table = markdown_table(["target", "wanted", "found", ""], rows)
    return ["### Targets", "", *table]

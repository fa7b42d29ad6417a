"""The measurements as Markdown tables."""

import statistics

from benchmarks.timing import Timing

TORCH = "PyTorch, 77 tokens"
TORCH_CUT = "PyTorch, cut to the longest prompt"


def our_name(method: str, steps: int) -> str:
    """How a side of ours is called."""
    return f"{method}, {steps} step{'s' if steps > 1 else ''} a call"


def markdown(result: dict, timings: dict[int, list[Timing]], command: str) -> str:
    """The section for docs/performance.md.

    Args:
      result: "machine" and the load before and after.
      timings: by number of classes.
      command: that was run.
    """
    machine = result["machine"]
    names = ("python", "jax", "flax", "torch", "transformers")
    versions = ", ".join(f"{name} {machine[name]}" for name in names)
    load = f"load {result['load_before']} before and {result['load_after']} after"
    lines = [f"`{command}`", "", f"{machine['cpu']}; {versions}; {load}."]
    for classes, measured in timings.items():
        lines += ["", f"{classes} classes:", "", *_table(measured), *_ratios(measured)]
    return "\n".join(lines) + "\n"


def _table(timings: list[Timing]) -> list[str]:
    lines = [
        "| step | median s | min – max s | CPU s | repeats | compiling s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for t in timings:
        lines.append(
            f"| {t.name} | {t.median:.3f} | {min(t.wall):.3f} – {max(t.wall):.3f} "
            f"| {statistics.median(t.cpu):.3f} | {len(t.wall)} "
            f"| {t.compile_seconds:.1f} |"
        )
    return lines


def _ratios(timings: list[Timing]) -> list[str]:
    """Ratios of medians, several steps a call, as training runs them."""
    median = {t.name: t.median for t in timings}
    steps = max(t.steps for t in timings)
    coop, fdbpl = (median[our_name(m, steps)] for m in ("coop", "coop+fdbpl"))
    return [
        "",
        f"- PyTorch's CoOp step takes {median[TORCH] / coop:.1f} × as long as ours at "
        f"77 tokens, {median[TORCH_CUT] / coop:.1f} × cut to the longest prompt.",
        f"- A FDBPL step takes {fdbpl / coop:.2f} × our CoOp step.",
    ]

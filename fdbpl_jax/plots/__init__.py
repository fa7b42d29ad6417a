"""Plots with Matplotlib: panels as SVG for a page or as PNG, and tables as PNG.

Matplotlib loads slowly, so modules that every command loads import this one where they
draw.
"""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from fdbpl_jax.plots.panel import COLOURS, INK, LINE, Panel, height_of, plot

__all__ = [
    "COLOURS",
    "INK",
    "LINE",
    "Panel",
    "panel_svg",
    "panels_png",
    "png",
    "table_png",
]

_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "font.sans-serif": ["DejaVu Sans"],
    "text.parse_math": False,  # a name may hold dollar signs
    "text.color": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.formatter.useoffset": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": LINE,
    "svg.fonttype": "none",  # letters are letters: small, and found by a search
    "svg.hashsalt": "fdbpl_jax",  # the same file from the same numbers
}
_WIDTH = 4.6  # inches: of a plot, at which its text can be read on a phone
_DPI = 150


def panel_svg(panel: Panel) -> str:
    """Draw one plot as an SVG document, the same from the same numbers."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height_of(panel)), layout="constrained")
        plot(figure.subplots(), panel)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return out.getvalue()


def panels_png(panels: Sequence[Panel]) -> bytes:
    """Draw the plots in rows of three as one PNG."""
    rows = [panels[first : first + 3] for first in range(0, len(panels), 3)]
    heights = [max(map(height_of, row)) for row in rows]
    with mpl.rc_context(_STYLE):
        size = (_WIDTH * len(rows[0]), sum(heights))
        figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
        grid = figure.add_gridspec(len(rows), len(rows[0]), height_ratios=heights)
        for place, panel in enumerate(panels):
            plot(figure.add_subplot(grid[place]), panel)
        return png(figure)


def table_png(
    title: str, titles: Sequence[str], lines: Sequence[Sequence[str]], words: int
) -> bytes:
    """Draw a table as PNG: `words` columns at the left, then numbers at the right."""
    rows = [titles, *lines]
    widths = [max(map(len, column)) + 3 for column in zip(*rows, strict=True)]
    size = (0.085 * sum(widths), 0.24 * (len(rows) + 2))
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, dpi=_DPI)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set(xlim=(0, sum(widths)), ylim=(len(rows) + 0.7, -1.3))
        axes.text(1, -0.4, title, weight="bold", size=11, va="center")
        for number, row in enumerate(rows):
            weight = "normal" if number else "bold"
            style: dict[str, Any] = {"va": "center", "size": 9, "weight": weight}
            for column, text in enumerate(row):
                word = column < words
                x = sum(widths[:column]) + 1 if word else sum(widths[: column + 1]) - 1
                side = "left" if word else "right"
                axes.text(x, number + 0.6, text, ha=side, **style)
            if number == 0 or row[0] != rows[number - 1][0]:
                y = number + (0.1 if number else 1.1)
                axes.axhline(y, color="#c5cad1", lw=0.8)
        return png(figure)


def png(figure: Figure) -> bytes:
    """Encode a figure as PNG, in its own resolution."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=figure.dpi)
    return out.getvalue()

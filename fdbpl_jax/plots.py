"""Sheets as pictures, by Matplotlib: plots of a figure, and a table as an image."""

import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fdbpl_jax.paper.sheet import Panel, Sheet

_COLOURS = ("#0067b0", "#b84a00", "#00795a", "#7a3e9d", "#6b6b6b", "#b5838d")
_MARKS = "osD^vP"  # colours are not all that tells series apart
_STYLE = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e3e6ea",
    "svg.hashsalt": "fdbpl_jax",  # the same file from the same numbers
}
_WIDTH = 4.6  # inches: of a plot, at which its text can be read on a phone
_DPI = 150


def panel_svg(panel: Panel) -> str:
    """One plot as an SVG document that needs no font."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, _height(panel)), layout="constrained")
        _plot(figure.subplots(), panel)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def sheet_png(sheet: Sheet) -> bytes:
    """The sheet as one PNG: its picture, its plots, or its table."""
    if sheet.picture:
        return sheet.picture
    with mpl.rc_context(_STYLE):
        return _png(_plots(sheet.panels) if sheet.panels else _table(sheet))


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI)
    return out.getvalue()


def _plots(panels: Sequence[Panel]) -> Figure:
    """All plots in rows of three."""
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    heights = [
        max(map(_height, panels[row * columns : (row + 1) * columns]))
        for row in range(rows)
    ]
    figure = Figure(figsize=(_WIDTH * columns, sum(heights)), layout="constrained")
    ratios = {"height_ratios": heights}
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=ratios).ravel()
    for place, panel in zip(axes, panels, strict=False):
        _plot(place, panel)
    for place in axes[len(panels) :]:
        place.set_axis_off()
    return figure


def _height(panel: Panel) -> float:
    if panel.place:
        return 3.0
    line = 0.19 * len(panel.series) + 0.05 if panel.kind == "dots" else 0.3
    return 1.2 + line * max(len(panel.names), 2)


def _plot(axes: Axes, panel: Panel) -> None:
    axes.set_title(panel.title)
    draw = {"bars": _bars, "dots": _dots, "lines": _lines, "costs": _lines}
    draw[panel.kind](axes, panel)
    if len(panel.series) > 1:
        below = -0.5 / (_height(panel) - 0.8)  # under the axis and its name
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, below),
            ncols=min(3, len(panel.series)),
            frameon=False,
        )


def _bars(axes: Axes, panel: Panel) -> None:
    (values,) = panel.series.values()
    known = [0.0 if value is None else value for value in values]
    bars = axes.barh(panel.names, known, color=_COLOURS[0], height=0.65)
    texts = ["–" if value is None else f" {value:.3g}" for value in values]
    axes.bar_label(bars, texts, fontsize=9)
    axes.margins(x=0.16)
    axes.set_xlabel(panel.unit)
    axes.grid(axis="y", visible=False)
    axes.invert_yaxis()  # the first on top


def _dots(axes: Axes, panel: Panel) -> None:
    """A lane for each series within each name, so that no mark hides another."""
    lane = 0.8 / len(panel.series)
    for number, (label, values) in enumerate(panel.series.items()):
        shift = (number - (len(panel.series) - 1) / 2) * lane
        places = [place + shift for place in range(len(panel.names))]
        axes.errorbar(
            *_known(values, places),
            xerr=_spread(panel, label, values),
            **_mark(number, label, ""),
        )
    axes.set_yticks(range(len(panel.names)), panel.names)
    axes.set_xlabel(panel.unit)
    axes.invert_yaxis()


def _lines(axes: Axes, panel: Panel) -> None:
    places = [float(name) for name in panel.names]
    for number, (label, values) in enumerate(panel.series.items()):
        known, where = _known(values, places)
        error = _spread(panel, label, values)
        axes.errorbar(where, known, yerr=error, **_mark(number, label, "-"))
    axes.set_xticks(places, panel.names)
    axes.set_xlabel(panel.place)
    axes.set_ylabel(panel.unit)
    axes.margins(y=0.2)
    if panel.kind == "costs":
        axes.set_ylim(0, 1.2 * axes.dataLim.ymax)


def _known(
    values: Sequence[float | None], places: Sequence[float]
) -> tuple[list[float], list[float]]:
    """The values there are, and their places."""
    pairs = [p for p in zip(values, places, strict=True) if p[0] is not None]
    return [value for value, _ in pairs], [place for _, place in pairs]


def _spread(
    panel: Panel, label: str, values: Sequence[float | None]
) -> list[float] | None:
    spread = panel.spreads.get(label)
    if spread is None:
        return None
    pairs = zip(values, spread, strict=True)
    return [error or 0.0 for value, error in pairs if value is not None]


def _mark(number: int, label: str, line: str) -> dict[str, Any]:
    return {
        "label": label,
        "color": _COLOURS[number % len(_COLOURS)],
        "marker": _MARKS[(number + number // len(_COLOURS)) % len(_MARKS)],
        "linestyle": line,
        "capsize": 2.5,
    }


def _table(sheet: Sheet) -> Figure:
    """The table as text in columns, its words at the left, its numbers at the right."""
    rows = [sheet.titles, *sheet.lines]
    widths = [max(map(len, column)) + 3 for column in zip(*rows, strict=True)]
    inches, line = 0.085 * sum(widths), 0.24
    figure = Figure(figsize=(inches, line * (len(rows) + 2)), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, sum(widths))
    axes.set_ylim(len(rows) + 0.7, -1.3)
    axes.text(1, -0.4, sheet.title, weight="bold", size=11, va="center")
    for number, row in enumerate(rows):
        weight = "normal" if number else "bold"
        for place, text in enumerate(row):
            word = place < sheet.words
            x = sum(widths[:place]) + 1 if word else sum(widths[: place + 1]) - 1
            side = "left" if word else "right"
            axes.text(
                x, number + 0.6, text, ha=side, va="center", size=9, weight=weight
            )
        if number == 0 or row[0] != rows[number - 1][0]:
            axes.axhline(
                number + (1.1 if number == 0 else 0.1), color="#c5cad1", lw=0.8
            )
    return figure

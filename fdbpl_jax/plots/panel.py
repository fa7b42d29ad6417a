"""A plot by its numbers, drawn into Matplotlib's axes."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from matplotlib.axes import Axes

COLOURS = ("#0067b0", "#b84a00", "#00795a", "#7a3e9d", "#6b6b6b", "#b5838d")
INK, LINE = "#1a1d21", "#d9dde3"
_MARKS = "osD^vP"  # colours are not all that tells series apart


class Panel(NamedTuple):
    """One plot of a figure."""

    title: str
    unit: str  # of the values
    names: tuple[str, ...]  # of what is compared; with a `place`, numbers on its axis
    series: Mapping[str, tuple[float | None, ...]]  # by legend label: a value per name
    # bars, costs (along a line): from zero. dots, lines: the axis spans the values.
    # times: on a logarithmic axis; the last series as dots, the others as small rings.
    kind: Literal["bars", "dots", "lines", "costs", "times"]
    spreads: Mapping[str, tuple[float | None, ...]] = {}  # of the series that have one
    place: str = ""  # what the numbers in `names` are; empty: they are words
    texts: tuple[str, ...] = ()  # at the right of each name, of bars at their ends
    # Of bars and times, of the (last) series: fastest and slowest.
    ranges: tuple[tuple[float, float] | None, ...] = ()
    hatched: tuple[float | None, ...] = ()  # the same: what comes to the value

    @property
    def has_values(self) -> bool:
        """Whether there is anything to plot."""
        return any(v is not None for values in self.series.values() for v in values)


def height_of(panel: Panel) -> float:
    """The height of a plot in inches."""
    if panel.place:
        return 3.0
    line = {"dots": 0.19 * (len(panel.series) + 1.7), "times": 0.42}
    return 1.2 + line.get(panel.kind, 0.3) * max(len(panel.names), 2)


def plot(axes: Axes, panel: Panel) -> None:
    """Draw the plot."""
    axes.set_title(panel.title)
    draw = {"bars": _bars, "dots": _dots, "times": _times}
    draw.get(panel.kind, _lines)(axes, panel)
    if len(panel.series) > 1 and panel.kind != "times":
        place = (0.5, -0.5 / (height_of(panel) - 0.8))  # under the axis and its name
        columns = min(3, len(panel.series))
        axes.legend(
            loc="upper center", bbox_to_anchor=place, ncols=columns, frameon=False
        )


def _bars(axes: Axes, panel: Panel) -> None:
    (values,) = panel.series.values()
    lengths = [0.0 if value is None else value for value in values]
    axes.barh(panel.names, lengths, color=COLOURS[0], height=0.65)
    _hatch(axes, panel, values, 0.65)
    _draw_ranges(axes, panel, values)
    texts = panel.texts or ["–" if v is None else _number(v) for v in values]
    for place, (text, length) in enumerate(zip(texts, lengths, strict=True)):
        more = panel.hatched[place] if panel.hatched else None
        ends = panel.ranges[place] if panel.ranges else None
        end = max(length + (more or 0.0), *(ends or (0.0,)))  # past the range, too
        style: dict[str, Any] = {"va": "center", "fontsize": 9}
        axes.annotate(text, (end, place), (4, 0), textcoords="offset points", **style)
    axes.margins(x=0.4 if any(panel.ranges) else 0.16)
    axes.set_xlabel(panel.unit)
    axes.grid(axis="y", visible=False)
    axes.invert_yaxis()  # the first on top


def _dots(axes: Axes, panel: Panel) -> None:
    """A lane for each series under each name, so that no mark hides another."""
    lane = 1 / (len(panel.series) + 1.7)
    _write_names(axes, panel, (len(panel.series) + 1) / 2 * lane)
    for number, (label, values) in enumerate(panel.series.items()):
        shift = (number - (len(panel.series) - 1) / 2) * lane
        marks = _known(values, [place + shift for place in range(len(panel.names))])
        error = _spread(panel, label)
        axes.errorbar(*marks, xerr=error, **_mark(number, label, ""))
    low, high = axes.get_xlim()
    pad = max(0.0, 1 - (high - low) / 2)  # noise is not to look like a difference
    axes.set_xlim(low - pad, high + pad)


def _times(axes: Axes, panel: Panel) -> None:
    _write_names(axes, panel, 0.4)
    *_, main = panel.series
    totals = map(_total, panel.series[main], panel.hatched)
    ends = (end for pair in panel.ranges if pair for end in pair)
    shown = (*itertools.chain(*panel.series.values()), *totals, *ends)
    times = [time for time in shown if time] or [1.0]
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))
    high = max(high, low + 1)
    axes.set_xscale("log")
    axes.set_xlim(10 ** (low - 0.1), 10 ** (high + 0.1))
    axes.set_xticks([10.0**p for p in range(low, high + 1)])
    axes.xaxis.set_major_formatter(lambda seconds, _: _number(seconds))
    axes.minorticks_off()
    places = [float(place) for place in range(len(panel.names))]
    _hatch(axes, panel, panel.series[main], 0.2)
    _draw_ranges(axes, panel, panel.series[main])
    for label, values in panel.series.items():
        ring = {} if label == main else {"markersize": 4, "mfc": "none"}
        axes.errorbar(*_known(values, places), **_mark(0, label, "") | ring)


def _hatch(
    axes: Axes, panel: Panel, values: Sequence[float | None], height: float
) -> None:
    """Hatched bars that go on from the values, if the panel has some."""
    if not any(panel.hatched):
        return
    lengths = [part or 0.0 for part in panel.hatched]
    starts = [value or 0.0 for value in values]
    style: dict[str, Any] = {"fc": "none", "ec": COLOURS[0], "hatch": "////", "lw": 0.8}
    axes.barh(range(len(values)), lengths, height, starts, gid="hatched", **style)


def _draw_ranges(axes: Axes, panel: Panel, values: Sequence[float | None]) -> None:
    """Lines from the least to the largest of what each value is the middle of."""
    for place, (value, ends) in enumerate(zip(values, panel.ranges, strict=False)):
        if value is not None and ends is not None:
            axes.plot(ends, (place, place), color=INK, marker="|", lw=1, gid="range")


def _number(value: float) -> str:
    """Three digits or all before the point, never a power of ten: 0.05, 1.23, 1434."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _total(value: float | None, more: float | None) -> float | None:
    return None if value is None else value + (more or 0.0)


def _write_names(axes: Axes, panel: Panel, above: float) -> None:
    """Each name over its marks, its text at the right: a long name costs no width."""
    sides = axes.get_yaxis_transform()
    style: dict[str, Any] = {"transform": sides, "va": "center", "in_layout": False}
    for place, name in enumerate(panel.names):
        axes.text(0, place - above, name, **style)
    for place, text in enumerate(panel.texts):
        axes.text(1, place - above, text, ha="right", **style)
    axes.set_yticks([])
    axes.set_ylim(len(panel.names) - 0.5, -above - 0.2)  # the first on top
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(panel.unit)


def _lines(axes: Axes, panel: Panel) -> None:
    places = [float(name) for name in panel.names]
    for number, (label, values) in enumerate(panel.series.items()):
        heights, where = _known(values, places)
        error = _spread(panel, label)
        axes.errorbar(where, heights, yerr=error, **_mark(number, label, "-"))
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
    points = [(v, p) for v, p in zip(values, places, strict=True) if v is not None]
    return [value for value, _ in points], [place for _, place in points]


def _spread(panel: Panel, label: str) -> list[float] | None:
    """The half lengths of a series' error bars, of the values there are."""
    if label not in panel.spreads:
        return None
    spreads = [spread or 0.0 for spread in panel.spreads[label]]
    return _known(panel.series[label], spreads)[1]


def _mark(number: int, label: str, line: str) -> dict[str, Any]:
    return {
        "label": label,
        "color": COLOURS[number % len(COLOURS)],
        "marker": _MARKS[(number + number // len(COLOURS)) % len(_MARKS)],
        "linestyle": line,
        "capsize": 2.5,
        "gid": f"mark {label}",
    }

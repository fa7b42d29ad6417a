"""The report's figures as inline SVG: accuracy by method, training time by method.

A figure is drawn 340 units wide, about what a phone shows, and is scaled by the page.
Colours come from the page's CSS variables, so figures follow its light or dark theme;
base, new and HM also differ in shape, for readers who do not tell the colours apart.
"""

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise

from fdbpl_jax.reports.numbers import BLANK, seconds_text
from fdbpl_jax.reports.results import AVERAGE, Row
from fdbpl_jax.reports.text import shorten

WIDTH = 340
_LEFT, _RIGHT = 10, WIDTH - 10  # of the plotting area
_NAME_CHARS = 26  # what fits beside a row's numbers
_LANE = 11  # height of one mark's line
_AXIS = 22  # height of the axis labels

_SERIES = (("base", "base_mean", "base_std"), ("new", "new_mean", "new_std"))
_SERIES = (*_SERIES, ("hm", "hm", "hm_std"))


def accuracy_figure(rows: Sequence[Row], new: bool = True) -> str:
    """Base, new and HM of each method on one data set, with ± std bars.

    Args:
      rows: of one data set, in the order drawn.
      new: leave room for new classes and HM; else the accuracy is all there is.

    Returns:
      An `<svg>` element. The axis spans what is drawn, it does not start at 0.
    """
    marks = [_accuracy_marks(row) for row in rows]
    ends = [
        e for row in marks for _, mean, std in row for e in (mean - std, mean + std)
    ]
    low, high, ticks = _linear_axis(ends)

    def at(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (_RIGHT - _LEFT)

    series = _SERIES if new else _SERIES[:1]
    height = 18 + len(series) * _LANE + 12
    parts = []
    for index, (row, row_marks) in enumerate(zip(rows, marks, strict=True)):
        top = index * height
        parts.append(_row_title(row.method, _values(row, series), top))
        for kind, mean, std in row_marks:
            lane = [name for name, _, _ in _SERIES].index(kind)
            y = top + 18 + (lane + 0.5) * _LANE
            text = f"{row.method}, {_LABEL[kind]}: {mean:.2f}"
            text += f" ± {std:.2f}" if std else ""
            if std:
                parts.append(
                    _error_bar(kind, at(max(mean - std, low)), at(mean + std), y)
                )
            parts.append(_mark(kind, at(mean), y, text))
    labels = [(at(tick), f"{tick:g}") for tick in ticks]
    name = f"Accuracy in percent on {rows[0].dataset}"
    return _figure(name, parts, labels, len(rows) * height)


def time_figure(rows: Sequence[Row]) -> str:
    """Training seconds of each method on a logarithmic axis.

    Args:
      rows: of `summarise`. With several data sets a small dot is a data set and the
        large one their mean.

    Returns:
      An `<svg>` element; a method that trains nothing has no dot.
    """
    methods = list(dict.fromkeys(row.method for row in rows))
    times = [row.train_seconds for row in rows if row.train_seconds]
    low, high = _decades(times)

    def at(seconds: float) -> float:
        share = (math.log10(seconds) - low) / (high - low)
        return _LEFT + share * (_RIGHT - _LEFT)

    several = any(row.dataset == AVERAGE for row in rows)
    height = 18 + 2 * _LANE
    parts = []
    for index, method in enumerate(methods):
        top, own = index * height, [row for row in rows if row.method == method]
        main = own[-1] if several else own[0]
        parts.append(_row_title(method, [("", _time_text(main))], top))
        y = top + 18 + _LANE / 2
        for row in own:
            if row.train_seconds:
                size = "" if row is main else " small"
                label = f"{method}, {row.dataset}: {seconds_text(row.train_seconds)} s"
                parts.append(
                    f'<circle class="time{size}" cx="{at(row.train_seconds):.1f}" '
                    f'cy="{y:.1f}" r="{5 if row is main else 3.5}">'
                    f"<title>{escape(label)}</title></circle>"
                )
    labels = [(at(10.0**p), f"{10.0**p:g} s") for p in range(low, high + 1)]
    name = "Training time in seconds, logarithmic"
    return _figure(name, parts, labels, len(methods) * height)


_LABEL = {"base": "base", "new": "new", "hm": "HM"}


def legend() -> str:
    """An HTML line that names the marks of `accuracy_figure`."""
    items = (
        f'<span><svg viewBox="0 0 14 14" width="14" height="14" aria-hidden="true">'
        f"{_mark(kind, 7.0, 7.0, '')}</svg> {_LABEL[kind]}</span>"
        for kind, _, _ in _SERIES
    )
    return f'<p class="legend">{" ".join(items)}</p>'


def _accuracy_marks(row: Row) -> list[tuple[str, float, float]]:
    """(kind, mean, std or 0) of each accuracy the row has."""
    found = [
        (kind, getattr(row, mean), getattr(row, std)) for kind, mean, std in _SERIES
    ]
    return [(kind, mean, std or 0.0) for kind, mean, std in found if mean is not None]


def _values(row: Row, series: Sequence[tuple]) -> list[tuple[str, str]]:
    return [
        (kind, BLANK if (value := getattr(row, mean)) is None else f"{value:.2f}")
        for kind, mean, _ in series
    ]


def _time_text(row: Row) -> str:
    if row.train_seconds == 0:
        return "no training"
    text = seconds_text(row.train_seconds)
    return text if text == BLANK else f"{text} s"


def _linear_axis(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """Low end, high end and ticks: a little more than the values, within 0 … 100."""
    low, high = min(values, default=0.0), max(values, default=100.0)
    pad = max(1.0, 0.06 * (high - low))
    # A spread may reach below 0 or over 100; an accuracy may not.
    low, high = max(low - pad, -1.0), min(high + pad, 101.0)
    step = next(s for s in (1, 2, 5, 10, 20, 25) if (high - low) / s <= 6 or s == 25)
    first = math.ceil(max(low, 0) / step) * step
    ticks = [float(t) for t in range(first, math.floor(min(high, 100)) + 1, step)]
    return low, high, ticks


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """Powers of ten around the values, at least one decade."""
    low = math.floor(math.log10(min(values, default=1.0)))
    high = math.ceil(math.log10(max(values, default=1.0)))
    return low, max(high, low + 1)


def _figure(
    name: str, parts: list[str], ticks: list[tuple[float, str]], bottom: int
) -> str:
    grid = []
    for x, label in _spaced(ticks):
        half = 3.5 * len(label)  # of the label's width: keep all of it inside
        middle = min(max(x, half), WIDTH - half)
        grid.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="16" y2="{bottom}"/>'
            f'<text class="tick" x="{middle:.1f}" y="{bottom + 15}">'
            f"{escape(label)}</text>"
        )
    return (
        f'<svg class="figure" viewBox="0 0 {WIDTH} {bottom + _AXIS}" role="img" '
        f'aria-label="{escape(name)}">{"".join(grid + parts)}</svg>'
    )


def _spaced(ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Every n-th tick, so that no two labels touch."""
    gap = min((b[0] - a[0] for a, b in pairwise(ticks)), default=WIDTH)
    widest = 7 * max((len(label) for _, label in ticks), default=0)
    return ticks[:: max(1, math.ceil(widest / gap))]


def _row_title(method: str, values: list[tuple[str, str]], top: int) -> str:
    """The method's name at the left, its numbers at the right, above its marks."""
    spans = '<tspan class="tick"> / </tspan>'.join(
        f'<tspan class="{kind} ink">{text}</tspan>' for kind, text in values
    )
    return (
        f'<text class="name" x="0" y="{top + 12}">'
        f"{escape(shorten(method, _NAME_CHARS))}</text>"
        f'<text class="value" x="{WIDTH}" y="{top + 12}">{spans}</text>'
    )


def _error_bar(kind: str, left: float, right: float, y: float) -> str:
    outline = f"M{left:.1f} {y - 3:.1f}v6m0-3H{min(right, WIDTH):.1f}m0-3v6"
    return f'<path class="bar {kind}" d="{outline}"/>'


def _mark(kind: str, x: float, y: float, text: str) -> str:
    """A circle for base, a square for new, a diamond for HM."""
    outline = {
        "base": "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
        "new": "m-3.6-3.6h7.2v7.2h-7.2z",
        "hm": "m0-5l5 5l-5 5l-5-5z",
    }[kind]
    title = f"<title>{escape(text)}</title>" if text else ""
    return f'<path class="mark {kind}" d="M{x:.1f} {y:.1f}{outline}">{title}</path>'

"""Figures of pages: panels as markup, and the report's accuracies and times."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fdbpl_jax.errors import printable
from fdbpl_jax.plots import COLOURS, INK, LINE, Panel, panel_svg
from fdbpl_jax.reports.columns import ACCURACIES, BLANK, seconds_text
from fdbpl_jax.reports.results import AVERAGE, Row
from fdbpl_jax.reports.text import shorten

# What a page sets to fit its theme; the colour stands where it does not.
_THEME = {
    **{c: f"var(--plot-{number}, {c})" for number, c in enumerate(COLOURS)},
    **{INK: "currentColor", LINE: f"var(--line, {LINE})"},
}
_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_NAME_CHARS = 26  # what fits beside the numbers of a method


def drawn(panels: Iterable[Panel]) -> list[Markup]:
    """Draw the panels that have values as `<svg>` elements of a page."""
    return [Markup(_inline(panel)) for panel in panels if panel.has_values]


def _inline(panel: Panel) -> str:
    """A plot in the page's colours, without ids and links: a page may hold several."""
    root = ET.fromstring(panel_svg(panel))
    paths = root.iter(_SVG + "path")
    marks = {f"#{path.get('id')}": path.get("d", "") for path in paths}
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (_SVG + "defs", _SVG + "metadata"):
                parent.remove(child)
    for element in root.iter():
        _adapt(element, marks)
    root.attrib = {
        "class": "plot",
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-label": f"{panel.title} {panel.unit}".strip(),
    }
    return ET.tostring(root, encoding="unicode")


def _adapt(element: ET.Element, marks: Mapping[str, str]) -> None:
    """Free an element of references, and take its colours from the page."""
    element.tag = element.tag.removeprefix(_SVG)
    element.attrib.pop("clip-path", None)
    if name := element.attrib.pop("id", ""):
        element.set("class", name)
    if element.tag == "use":
        element.tag = "path"
        x, y = element.attrib.pop("x"), element.attrib.pop("y")
        element.set("d", marks[element.attrib.pop(_LINK)])
        element.set("transform", f"translate({x} {y})")
    if style := element.get("style"):
        themed = re.sub("#[0-9a-f]{6}", lambda m: _THEME.get(m[0], m[0]), style)
        element.set("style", themed)


def accuracy_panel(rows: Sequence[Row], new: bool) -> Panel:
    """Base, new and HM of each method on the rows' one data set, with ± std bars.

    Without `new`, its accuracy is all there is.
    """
    means, spreads = {}, {}
    shown = ACCURACIES if new else {"accuracy": ACCURACIES["base"]}
    for label, (mean, std) in shown.items():
        means[label] = tuple(getattr(row, mean) for row in rows)
        spreads[label] = tuple(getattr(row, std) for row in rows)
    texts = [
        " / ".join(BLANK if value is None else f"{value:.2f}" for value in values)
        for values in zip(*means.values(), strict=True)
    ]
    return Panel(
        title=shorten(printable(rows[0].dataset), 2 * _NAME_CHARS),
        unit="accuracy (%)",
        names=_names(row.method for row in rows),
        series=means,
        kind="dots",
        spreads=spreads,
        texts=tuple(texts),
    )


def time_panel(rows: Sequence[Row]) -> Panel:
    """Training seconds of each method on a logarithmic axis.

    With several data sets, a small ring is a data set and the dot their mean. A method
    that trains nothing has no mark. Hatched is the time of the RIL table it reads.
    """
    by_key = {(printable(row.dataset), row.method): row for row in rows}
    seconds = {key: row.epochs_seconds for key, row in by_key.items()}
    datasets = list(dict.fromkeys(name for name, _ in seconds))
    methods = list(dict.fromkeys(row.method for row in rows))
    if AVERAGE not in datasets:
        datasets = datasets[:1]
    main = [by_key.get((datasets[-1], method)) for method in methods]
    return Panel(
        title="",
        unit="training time (s), logarithmic",
        names=_names(methods),
        series={
            name: tuple(seconds.get((name, method)) or None for method in methods)
            for name in datasets
        },
        kind="times",
        texts=tuple(map(_time_text, main)),
        ranges=tuple(row and time_range(vars(row)) for row in main),
        hatched=tuple(row and row.table_seconds for row in main),
    )


def time_range(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """The fastest and the slowest seed of a row, if there are several."""
    low, high = row["epochs_min"], row["epochs_max"]
    return None if low is None or low == high else (low, high)


def _names(methods: Iterable[str]) -> tuple[str, ...]:
    return tuple(shorten(method, _NAME_CHARS) for method in methods)


def _time_text(row: Row | None) -> str:
    if row is None or row.epochs_seconds is None:
        return BLANK
    table = f" + table {seconds_text(row.table_seconds)}" if row.table_seconds else ""
    text = f"{seconds_text(row.epochs_seconds)}{table} s"
    return text if row.epochs_seconds else "no training"

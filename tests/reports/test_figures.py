"""Marks stand where the numbers say, inside the frame; figures of a page are safe."""

import math
import re
import xml.etree.ElementTree as ET

import pytest
from support.cells import cell, summarise

from fdbpl_jax.plots import COLOURS, Panel
from fdbpl_jax.reports.figures import accuracy_panel, drawn, time_panel
from fdbpl_jax.reports.results import AVERAGE

HOSTILE = '<script>alert("1")</script> & $x^2$'


def cells(methods=("coop", "coop+fdbpl")):
    """Two data sets: zero-shot 50/50; the others 70 ± 10 and 35 ± 5, 10 s, 100 s, …"""
    return [cell(d, "zero-shot", None, 50.0, 50.0, 0.0, 0.5, 0, 0) for d in "ab"] + [
        cell(d, m, s, 60.0 + 10 * s, 30.0 + 5 * s, 10.0 ** (i + 1), 0.5, 9, 2**20)
        for d in "ab"
        for i, m in enumerate(methods)
        for s in (0, 1, 2)
    ]


def svg_of(panel):
    (svg,) = drawn([panel])
    return svg


def classes(svg: str, name: str) -> list[ET.Element]:
    return [e for e in ET.fromstring(svg).iter() if e.get("class") == name]


def _marks(svg: str, label: str) -> list[tuple[float, float]]:
    """Where the marks of a series are, in drawing order."""
    *_, group = classes(svg, f"mark {label}")  # after its spreads
    found = [re.findall(r"[-\d.]+", e.get("transform")) for e in group.iter("path")]
    return [(float(x), float(y)) for x, y in found]


def _bars(svg: str, label: str) -> list[tuple[float, float]]:
    """Left and right end of the spreads of a series."""
    group, *_ = classes(svg, f"mark {label}")
    paths = [path.get("d") for path in group.iter("path")]
    ends = [[float(x) for x in re.findall(r"[ML] ([-\d.]+) ", path)] for path in paths]
    return [(left, right) for left, right in ends]


def _width(svg: str) -> float:
    return float(ET.fromstring(svg).get("viewBox").split()[2])


def test_accuracy_marks_stand_where_the_numbers_are():
    rows = [row for row in summarise(cells()) if row.dataset == "b"]
    svg = svg_of(accuracy_panel(rows, new=True))
    zero, coop, _ = (x for x, _ in _marks(svg, "base"))  # 50, 70 ± 10, 70 ± 10
    zero_new, coop_new, _ = (x for x, _ in _marks(svg, "new"))  # 50, 35 ± 5
    assert zero == zero_new
    unit = (coop - zero) / 20
    assert coop_new == pytest.approx(zero - 15 * unit, abs=0.2)
    low, high = _bars(svg, "base")[1]
    assert low == pytest.approx(coop - 10 * unit, abs=0.2)
    assert high == pytest.approx(coop + 10 * unit, abs=0.2)
    ticks = [e for e in ET.fromstring(svg).iter("text") if e.text == "50"]
    assert float(ticks[0].get("x")) == pytest.approx(zero, abs=0.2)
    assert low > 0
    assert 0.85 * _width(svg) < high < _width(svg)  # the axis uses the frame


def test_numbers_and_names_are_written_once_a_method():
    rows = [row for row in summarise(cells()) if row.dataset == "b"]
    panel = accuracy_panel(rows, new=True)
    assert panel.names == ("zero-shot", "coop", "coop+fdbpl")
    assert panel.texts[:2] == ("50.00 / 50.00 / 50.00", "70.00 / 35.00 / 46.67")
    texts = [e.text for e in ET.fromstring(svg_of(panel)).iter("text")]
    assert [t for t in texts if t in panel.names] == list(panel.names)
    assert texts.count("70.00 / 35.00 / 46.67") == 2
    alone = accuracy_panel(rows, new=False)
    assert alone.texts[1] == "70.00"
    assert list(alone.series) == ["accuracy"]


def test_time_marks_are_logarithmic_and_zero_has_none():
    rows = summarise(cells(methods=("coop", "coop+kdpl", "coop+fdbpl")))
    svg = svg_of(time_panel(rows))
    dots = [x for x, _ in _marks(svg, AVERAGE)]  # 10, 100 and 1000 s
    assert len(dots) == 3
    assert dots[1] - dots[0] == pytest.approx(dots[2] - dots[1], abs=0.2)
    assert dots[1] > dots[0]
    assert "no training" in svg
    assert len(_marks(svg, "a")) + len(_marks(svg, "b")) == 6
    names = {e.text: float(e.get("y")) for e in ET.fromstring(svg).iter("text")}
    heights = [y for _, y in _marks(svg, AVERAGE)]
    assert names["coop"] < heights[0] < names["coop+kdpl"] < heights[1]


def test_the_time_of_the_table_is_hatched_after_that_of_training():
    cells = [
        cell("a", "m", s, 50.0, 50.0, t, 1.0, 9, 0) for s, t in enumerate((8.0, 10.0))
    ]
    cells.append(cell("a", "n", 0, 50.0, 50.0, 9.0, 1.0, 9, 0))
    cells[:2] = [one.replaced({"table_seconds": 91.0}) for one in cells[:2]]
    panel = time_panel(summarise(cells, [c.key for c in cells]))
    assert panel.texts == ("9.00 + table 91.0 s", "9.00 s")
    assert panel.hatched == (91.0, None)
    assert panel.ranges == ((8, 10), None)
    svg = svg_of(panel)
    ticks = {e.text: float(e.get("x")) for e in ET.fromstring(svg).iter("text")}
    bar = classes(svg, "hatched")[0].find("path").get("d")
    xs = [float(x) for x in re.findall(r"[ML] ([-\d.]+) ", bar)]
    (start, _), _ = _marks(svg, "a")
    assert min(xs) == pytest.approx(start, abs=0.2)
    assert max(xs) == pytest.approx(ticks["100"], abs=0.2)  # 9 + 91


@pytest.mark.parametrize("spread", [0.0, 0.01, 49.0])
def test_figures_stay_inside_their_frame(spread):
    found = [
        cell("a", "m", s, 50 + spread * s, 50 - spread * s, 0.03, 1.0, 9, 1)
        for s in (-1, 0, 1)
    ]
    rows = summarise(found)
    for panel in (accuracy_panel(rows, new=True), time_panel(rows)):
        svg = svg_of(panel)
        labels = panel.series if panel.spreads else ()
        xs = [float(x) for x in re.findall(r' x="([-\d.]+)"', svg)]
        xs += [float(x) for x in re.findall(r"translate\(([-\d.]+)", svg)]
        xs += [end for s in labels for bar in _bars(svg, s) for end in bar]
        assert len(xs) > 5
        assert all(0 <= x <= _width(svg) and math.isfinite(x) for x in xs)


def test_noise_does_not_look_like_a_difference():
    rows = summarise([cell("a", "m", 0, 50.01, 50.0, 1.0, 1.0, 9, 1)])
    svg = svg_of(accuracy_panel(rows, new=True))
    ((base, _),), ((new, _),) = _marks(svg, "base"), _marks(svg, "new")
    assert 0 < base - new < 0.01 * _width(svg)


def test_a_figure_of_a_page_refers_to_nothing_and_takes_the_pages_colours():
    panel = Panel(HOSTILE, "%", (HOSTILE,), {HOSTILE: (1.0,), "b": (2.0,)}, "dots")
    svg = svg_of(panel)
    root = ET.fromstring(svg)
    assert root.get("aria-label") == f"{HOSTILE} %"
    names = {name for element in root.iter() for name in element.attrib}
    assert not names & {"id", "href", "clip-path", "width", "height"}
    assert {e.tag for e in root.iter()} == {"svg", "g", "path", "text"}
    assert HOSTILE in [e.text for e in root.iter("text")]  # as it is, no formula
    assert "url(" not in svg
    assert "http" not in svg
    for colour in COLOURS[:2]:
        assert f": var(--plot-{COLOURS.index(colour)}, {colour})" in svg
    rest = re.sub(r"var\(--[\w-]+, #[0-9a-f]{6}\)", "", svg)
    assert not re.search("#[0-9a-f]{6}", rest)  # black on black in a dark page
    assert "currentColor" in rest
    assert all("currentColor" in e.get("style") for e in root.iter("text"))
    assert svg == svg_of(panel)


def test_a_panel_without_values_is_not_drawn():
    assert drawn([Panel("t", "%", ("a",), {"": (None,)}, "bars")]) == []
    assert drawn([time_panel(summarise([], [("a", "m", 0)]))]) == []

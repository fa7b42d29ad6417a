"""Marks stand where the numbers say, inside the frame."""

import math
import re
import xml.etree.ElementTree as ET

import pytest
from support.cells import cell

from fdbpl_jax.reports.figures import accuracy_figure, time_figure
from fdbpl_jax.reports.results import summarise


def cells(methods=("coop", "coop+fdbpl")):
    """Two data sets: zero-shot 50/50; the others 70 ± 10 and 35 ± 5, 10 s, 100 s, …"""
    return [cell(d, "zero-shot", None, 50.0, 50.0, 0.0, 0.5, 0, 0) for d in "ab"] + [
        cell(d, m, s, 60.0 + 10 * s, 30.0 + 5 * s, 10.0 ** (i + 1), 0.5, 9, 2**20)
        for d in "ab"
        for i, m in enumerate(methods)
        for s in (0, 1, 2)
    ]


def _marks(svg: str, tag: str, kind: str) -> list[float]:
    """The x of each mark of a class, in drawing order."""
    found = [e for e in ET.fromstring(svg).iter(tag) if e.get("class") == kind]
    return [
        float(e.get("cx") or re.match(r"M([-\d.]+)", e.get("d")).group(1))
        for e in found
    ]


def test_accuracy_marks_stand_where_the_numbers_are():
    rows = [row for row in summarise(cells()) if row.dataset == "b"]
    svg = accuracy_figure(rows)
    zero, coop, _ = _marks(svg, "path", "mark base")  # 50, 70 ± 10, 70 ± 10
    zero_new, coop_new, _ = _marks(svg, "path", "mark new")  # 50, 35 ± 5
    assert zero == zero_new
    unit = (coop - zero) / 20
    assert coop_new == pytest.approx(zero - 15 * unit, abs=0.2)
    low = _marks(svg, "path", "bar base")[0]
    assert low == pytest.approx(coop - 10 * unit, abs=0.2)
    high = float(re.search(r'class="bar base" d="M[^H]*H([\d.]+)', svg).group(1))
    assert high == pytest.approx(coop + 10 * unit, abs=0.2)
    ticks = [e for e in ET.fromstring(svg).iter("text") if e.get("class") == "tick"]
    tick_50 = next(float(e.get("x")) for e in ticks if e.text == "50")
    assert tick_50 == pytest.approx(zero, abs=0.2)
    assert low > 0
    assert 290 < high < 340  # the axis uses the frame


def test_time_marks_are_logarithmic_and_zero_has_none():
    rows = summarise(cells(methods=("coop", "coop+kdpl", "coop+fdbpl")))
    svg = time_figure(rows)
    dots = _marks(svg, "circle", "time")  # 10, 100 and 1000 s
    assert len(dots) == 3
    assert dots[1] - dots[0] == pytest.approx(dots[2] - dots[1], abs=0.2)
    assert dots[1] > dots[0]
    assert "no training" in svg
    assert len(_marks(svg, "circle", "time small")) == 6


@pytest.mark.parametrize("spread", [0.0, 0.01, 49.0])
def test_figures_stay_inside_their_frame(spread):
    found = [
        cell("a", "m", s, 50 + spread * s, 50 - spread * s, 0.03, 1.0, 9, 1)
        for s in (-1, 0, 1)
    ]
    rows = summarise(found)
    for svg in (accuracy_figure(rows), time_figure(rows)):
        xs = [float(x) for x in re.findall(r'(?: x| cx|x1|x2)="([-\d.]+)"', svg)]
        xs += [float(x) for x in re.findall(r'd="M([-\d.]+)', svg)]
        xs += [float(x) for x in re.findall(r"H([-\d.]+)", svg)]
        assert all(0 <= x <= 340 and math.isfinite(x) for x in xs)

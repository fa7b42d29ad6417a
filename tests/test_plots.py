"""Plots show the numbers where they are; plots and tables are pictures."""

import io
import xml.etree.ElementTree as ET

import pytest
from matplotlib.figure import Figure
from PIL import Image

from fdbpl_jax import plots as draw
from fdbpl_jax.plots import COLOURS, Panel
from fdbpl_jax.plots.panel import plot

BARS = Panel("times", "s", ("coop", "kdpl", "lost"), {"": (1.0, 9.0, None)}, "bars")
DOTS = Panel(
    "accuracy",
    "%",
    ("a", "b"),
    {"base": (60.0, None), "new": (50.0, 55.0)},
    "dots",
    {"base": (1.0, None), "new": (None, 2.0)},
)
TIMES = Panel(
    "training", "s", ("a", "b"), {"x": (1.0, None), "mean": (10.0, 100.0)}, "times"
)
LINES = Panel("read", "ms", ("5", "20"), {"coop": (3.0, 4.0)}, "costs", {}, "K")


def axes_of(panel):
    figure = Figure()
    axes = figure.subplots()
    plot(axes, panel)
    return axes


def test_bars_are_as_long_as_the_numbers_from_zero():
    axes = axes_of(BARS)
    assert [bar.get_width() for bar in axes.patches] == [1.0, 9.0, 0.0]
    assert axes.get_xlim()[0] == 0
    assert [text.get_text() for text in axes.texts] == ["1", "9", "–"]
    top, bottom = axes.patches[0].get_y(), axes.patches[1].get_y()
    low, high = axes.get_ylim()
    assert (top - low) / (high - low) > (bottom - low) / (high - low)  # first on top


def test_dots_leave_out_what_is_missing_and_have_lanes_of_their_own():
    base, new = axes_of(DOTS).containers
    assert list(base.lines[0].get_xdata()) == [60.0]
    assert list(new.lines[0].get_xdata()) == [50.0, 55.0]
    assert base.lines[0].get_ydata()[0] < 0 < new.lines[0].get_ydata()[0]
    (segment,) = (s for s in new.lines[2][0].get_segments() if s[0][0] == 53.0)
    assert segment[1][0] == 57.0


def test_times_are_logarithmic_with_the_mean_in_full():
    axes = axes_of(TIMES)
    part, mean = (container.lines[0] for container in axes.containers)
    assert (list(part.get_xdata()), part.get_mfc()) == ([1.0], "none")
    assert (list(mean.get_xdata()), mean.get_mfc()) == ([10.0, 100.0], COLOURS[0])
    assert axes.get_xscale() == "log"
    assert list(axes.get_xticks()) == [1.0, 10.0, 100.0]
    assert axes.get_legend() is None


def test_lines_stand_at_their_k():
    axes = axes_of(LINES)
    (line,) = axes.containers
    assert list(line.lines[0].get_xdata()) == [5.0, 20.0]
    assert list(line.lines[0].get_ydata()) == [3.0, 4.0]
    assert axes.get_xlabel() == "K"
    low, high = axes.get_ylim()
    assert low == 0
    assert high > 4.0


@pytest.mark.parametrize("panel", [BARS, DOTS, LINES, TIMES])
def test_a_plot_is_svg_that_loads_nothing_and_is_the_same_each_time(panel):
    text = draw.panel_svg(panel)
    assert ET.fromstring(text).tag.endswith("svg")
    assert f">{panel.title}</text>" in text  # letters are text, in the page's size
    assert 'href="http' not in text
    assert text == draw.panel_svg(panel)


def table(lines=(("dtd", "1.00"), ("eurosat", "2.00"))):
    return draw.table_png("Table 2", ("data set", "accuracy"), lines, 1)


def size(png):
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return image.size


def test_a_table_grows_with_its_lines_and_columns():
    small = size(table())
    long = size(table([("dtd", "1.00")] * 30))
    wide = size(table([("dtd" * 30, "1.00")]))
    assert long[0] == small[0]
    assert long[1] > 5 * small[1]
    assert wide[0] > 3 * small[0]


def test_a_figure_has_its_plots_in_rows_of_three():
    one = size(draw.panels_png((BARS,)))
    four = size(draw.panels_png((BARS,) * 4))
    assert four == (3 * one[0], 2 * one[1])

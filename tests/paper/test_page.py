"""Sheets on one page and as PNG: nothing is fetched, nothing breaks out."""

import dataclasses
import io
import re
from pathlib import Path

import pytest
from PIL import Image
from support.paper_reports import FACTS

from fdbpl_jax.paper import page, published
from fdbpl_jax.paper.sheet import FinishedRun, Sheet
from fdbpl_jax.plots import Panel
from fdbpl_jax.reports.columns import Column, TextTable

HOSTILE = '<script>alert("1")</script> & "x" onload=y'
BARS = Panel(HOSTILE, "s", (HOSTILE, "b"), {"": (1.0, 2.0)}, "bars")


def sheet(**change):
    values = {
        "name": "table2",
        "title": "Table 2",
        "about": "",
        "columns": columns("data set", "accuracy"),
        "lines": [line("dtd", "1.00"), line("eurosat", "2.00")],
        "runs": (FinishedRun(Path(), (), FACTS),),
    }
    return Sheet(**values | change)


def columns(word, number):
    return [Column(word, ("word",), word=True), Column(number, ("number",))]


def line(word, number):
    return {"word": word, "number": number}


def size(png):
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return image.size


def test_every_sheet_is_a_png():
    assert page.sheet_png(sheet(picture=b"as it is")) == b"as it is"
    table, plot = (size(page.sheet_png(s)) for s in (sheet(), sheet(panels=(BARS,))))
    assert table != plot
    assert size(page.sheet_png(sheet(lines=[line("dtd", "1")] * 9)))[1] > table[1]


@pytest.mark.parametrize("panels", [(), (BARS, BARS)])
def test_the_page_escapes_everything_and_plots_are_in_it(panels):
    facts = dataclasses.replace(FACTS, failures=(HOSTILE,))
    text = page.html(
        [
            sheet(
                title=HOSTILE,
                about=HOSTILE,
                columns=columns(HOSTILE, HOSTILE),
                lines=[line(HOSTILE, HOSTILE)],
                runs=(FinishedRun(Path(), (), facts),),
                panels=panels,
                published=TextTable((HOSTILE, "base"), [(HOSTILE, "1.0")], words=2),
            )
        ],
        published.load(),
    )
    assert "<script" not in text
    # Its heading, link and so on: every one of them is there, as text.
    assert text.count("&lt;script&gt;") == 9 + 3 * len(panels)
    assert text.count("<svg") == len(panels)
    assert text.count("<details><summary>In numbers") == bool(panels)
    assert set(re.findall(r'(?:src|href)="([^"]*)"', text)) == {"#table2"}
    assert not re.search(r"url\(|@import|https?:", text)


def test_a_picture_is_inside_the_page():
    text = page.html([sheet(picture=b"\xfb\xff")], published.load())
    assert '<img alt="Table 2" src="data:image/png;base64,+/8=">' in text

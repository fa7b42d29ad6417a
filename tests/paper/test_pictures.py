"""Figures 11 and 12 as sheets, from what was drawn."""

import dataclasses
import shutil

import msgspec
import pytest
from PIL import Image
from support.cells import cell
from support.paper_reports import FACTS, write

from fdbpl_jax.errors import UserError
from fdbpl_jax.files import csv_text
from fdbpl_jax.paper.cases import Case, changed_cases
from fdbpl_jax.paper.cell import open_cell
from fdbpl_jax.paper.drawing import Drawing, drawing, listed
from fdbpl_jax.paper.pictures import draw, picture_sheet

CASES = [
    ("b/1.png", "put right", "b", "a", "b", 0.25),
    ("a/1.png", "put wrong", "a", "a", "b", -0.125),
    ("a/2.png", "put right", "a", "b", "a", 0.0625),
]


def keep(workdir, name, titles, rows):
    folder = workdir / "paper" / "pictures"
    folder.mkdir(exist_ok=True)
    drawing = Drawing(name.encode(), titles, rows)
    (folder / f"{name}-dtd.json").write_bytes(msgspec.json.encode(drawing))


@pytest.fixture(name="drawn")
def _drawn(tmp_path):
    facts = dataclasses.replace(FACTS, sizes={"dtd": (47, 1692)})
    cells = [cell("dtd", "coop+fdbpl", 1, 60.0, 50.0, 1.0, 0.1, 8, 0)]
    write(tmp_path, "figure10/diff2", cells, facts)
    keep(tmp_path, "figure11", ("image", "class"), [("a/1.png", "a")])
    keep(tmp_path, "figure12", Case._fields, CASES)
    return tmp_path


def test_what_was_drawn_is_shown_with_what_it_is(drawn):
    sheet = picture_sheet(drawn, "figure11")
    assert sheet.picture == b"figure11"
    assert sheet.table.titles == ("image", "class")
    assert sheet.table.lines == [("a/1.png", "a")]
    assert sheet.runs[0].facts.student == "small 123"


def test_cases_are_counted_and_listed(drawn):
    sheet = picture_sheet(drawn, "figure12")
    assert sheet.picture == b"figure12"
    assert "of 1692 test images 2 put right, 1 put wrong, a " in sheet.about
    assert "difference of not more than its standard error of 1.7" in sheet.about
    assert sheet.table.lines[1] == ("a/1.png", "put wrong", "a", "a", "b", "-0.125")
    assert sheet.records[1][-1] == 0.25


def test_a_long_list_is_cut_on_the_page_but_not_in_the_file(drawn):
    keep(drawn, "figure12", Case._fields, CASES + 100 * CASES[1:2])
    sheet = picture_sheet(drawn, "figure12")
    assert len(sheet.table.lines) == 40
    assert len(sheet.records) == 104


@pytest.mark.parametrize("content", ["", "{}", '{"picture": "AA==", "titles": []}'])
def test_a_picture_without_what_it_shows_is_refused(drawn, content):
    (drawn / "paper/pictures/figure12-dtd.json").write_text(content)
    with pytest.raises(UserError, match=r"figure12-dtd\.json' holds no whole drawing"):
        picture_sheet(drawn, "figure12")


def test_a_picture_of_another_data_set_is_not_shown(drawn):
    facts = dataclasses.replace(FACTS, sizes={"eurosat": (10, 8100)})
    cells = [cell("eurosat", "coop+fdbpl", 1, 60.0, 50.0, 1.0, 0.1, 8, 0)]
    write(drawn, "figure10/diff2", cells, facts)
    assert picture_sheet(drawn, "figure11") is None
    assert picture_sheet(drawn, "figure12") is None


def test_what_was_not_drawn_is_not_there(tmp_path):
    assert picture_sheet(tmp_path, "figure11") is None
    assert picture_sheet(tmp_path, "figure12") is None


def test_finished_cells_are_drawn_and_shown(workdir, tmp_path):
    """Two seeds stand for the cells with and without the difference losses."""
    dataset = "shapes-negative"
    trained = workdir / "base2new" / dataset / "coop+fdbpl"
    facts = dataclasses.replace(FACTS, sizes={dataset: (16, 1920)})
    cells = [cell(dataset, "coop+fdbpl", 1, 60.0, 50.0, 1.0, 0.1, 8, 0)]
    write(tmp_path, "figure10/diff2", cells, facts)
    for part, seed in (("diff2", 1), ("neg", 2)):
        folder = tmp_path / "paper/figure10" / part / dataset / "coop+fdbpl/seed1"
        shutil.copytree(trained / f"seed{seed}", folder)
    for name in ("figure11", "figure12"):
        draw(name, tmp_path, str(workdir / "shapes"))
        assert picture_sheet(tmp_path, name).picture[1:4] == b"PNG"
    shown = picture_sheet(tmp_path, "figure11").lines
    assert len({line["class"] for line in shown}) == len(shown) == 6
    opened = [
        open_cell(trained / f"seed{seed}", "", str(workdir / "shapes"))
        for seed in (1, 2)
    ]
    cases = changed_cases(*opened, workdir / "features")
    assert picture_sheet(tmp_path, "figure12").lines == [c._asdict() for c in cases]


def test_a_file_name_that_is_not_unicode_is_listed():
    image = Image.new("RGB", (2, 2))
    kept = drawing(image, ("image", "class"), [(listed("a\udcff.png"), "é")])
    content = msgspec.json.decode(msgspec.json.encode(kept), type=Drawing)
    assert content.rows == [("a?.png", "é")]
    assert csv_text(content.rows).encode() == "a?.png,é\n".encode()

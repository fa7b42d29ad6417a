"""Figures 11 and 12 as sheets, from what was drawn."""

import dataclasses

import pytest
from support.cells import cell
from support.paper_reports import FACTS, write

from fdbpl_jax.errors import UserError
from fdbpl_jax.paper.pictures import attention_sheet, case_sheet

CASES = """path,what,truth,before,after,gain
b/1.png,put right,b,a,b,0.25
a/1.png,put wrong,a,a,b,-0.125
a/2.png,put right,a,b,a,0.0625
"""


@pytest.fixture(name="workdir")
def _workdir(tmp_path):
    facts = dataclasses.replace(FACTS, sizes={"dtd": (47, 1692)})
    cells = [cell("dtd", "coop+fdbpl", 1, 60.0, 50.0, 1.0, 0.1, 8, 0)]
    write(tmp_path, "figure10/diff2", cells, facts)
    folder = tmp_path / "paper" / "pictures"
    folder.mkdir()
    (folder / "figure11-dtd.png").write_bytes(b"png")
    (folder / "figure11-dtd.csv").write_text("image,class\na/1.png,a\n")
    (folder / "figure12-dtd.png").write_bytes(b"PNG")
    (folder / "figure12-dtd.csv").write_text(CASES)
    return tmp_path


def test_what_was_drawn_is_shown_with_what_it_is(workdir):
    sheet = attention_sheet(workdir)
    assert sheet.picture == b"png"
    assert sheet.titles == ("image", "class")
    assert sheet.lines == [("a/1.png", "a")]
    assert sheet.facts[0].student == "small 123"


def test_cases_are_counted_and_listed(workdir):
    sheet = case_sheet(workdir)
    assert sheet.picture == b"PNG"
    assert "of 1692 test images 2 put right, 1 put wrong" in sheet.about
    assert sheet.lines[1] == ("a/1.png", "put wrong", "a", "a", "b", "-0.125")
    assert sheet.records[1][-1] == "0.25"


def test_a_long_list_is_cut_on_the_page_but_not_in_the_file(workdir):
    line = "a/1.png,put wrong,a,a,b,-0.125\n"
    (workdir / "paper/pictures/figure12-dtd.csv").write_text(CASES + 100 * line)
    sheet = case_sheet(workdir)
    assert len(sheet.lines) == 40
    assert len(sheet.records) == 104


def test_a_picture_without_what_it_shows_is_refused(workdir):
    (workdir / "paper/pictures/figure12-dtd.csv").unlink()
    with pytest.raises(UserError, match=r"what .*figure12-dtd\.png' shows"):
        case_sheet(workdir)


def test_a_picture_of_another_data_set_is_not_shown(workdir):
    facts = dataclasses.replace(FACTS, sizes={"eurosat": (10, 8100)})
    cells = [cell("eurosat", "coop+fdbpl", 1, 60.0, 50.0, 1.0, 0.1, 8, 0)]
    write(workdir, "figure10/diff2", cells, facts)
    assert attention_sheet(workdir) is None
    assert case_sheet(workdir) is None


def test_what_was_not_drawn_is_not_there(tmp_path):
    assert attention_sheet(tmp_path) is None
    assert case_sheet(tmp_path) is None

"""The paper's tables: which published number is which of our rows, and the one page."""

import csv
import dataclasses
import io
import itertools
import re

import pytest
from support.cells import cell, summarise
from support.paper_reports import FACTS, write
from support.tables import unpadded

from fdbpl_jax.data.catalogue import CATALOGUE
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.settings import run_config
from fdbpl_jax.files import csv_text
from fdbpl_jax.paper import page, published
from fdbpl_jax.paper.figures import COMPONENTS
from fdbpl_jax.paper.page import sheets_of
from fdbpl_jax.paper.published import numbers_of
from fdbpl_jax.paper.sheet import markdown
from fdbpl_jax.paper.tables import TITLES, line_of, published_table, table_sheet
from fdbpl_jax.reports.write import read_report, write_report

ADDED = "neg", "diff1", "diff2"


@pytest.fixture(scope="module", name="numbers")
def _printed():
    return published.load()


def tables_of(workdir, numbers):
    sheets = [table_sheet(name, workdir, numbers) for name in TITLES]
    return [sheet for sheet in sheets if sheet.runs]


def published_in(line):
    names = {name: name.removeprefix("published_") for name in line}
    return {what: line[n] for n, what in names.items() if n != what and line[n]}


def row(dataset, method, trained=True):
    (found,) = summarise(
        [
            cell(
                dataset,
                method,
                1 if trained else None,
                60.0,
                50.0,
                1.0,
                0.1,
                8 if trained else 0,
                0,
            )
        ]
    )
    return found


@pytest.mark.parametrize(
    ("table", "dataset", "method", "part", "expected"),
    [
        ("table1", "food101", "promptsrc+fdbpl", "", {"accuracy": 81.21}),
        ("table2", "dtd", "coop", "", {"base": 77.17, "new": 45.57, "hm": 57.31}),
        ("table2", "shapes-plain", "coop", "", {}),
        ("table3", "imagenet", "coop+fdbpl shots=4", "", {"new": 64.28}),
        ("table3", "imagenet", "coop shots=3", "", {}),
        ("table4", "dtd", "coop+fdbpl", "ms", {"new": 46.47}),
        ("table4", "dtd", "coop", "hard", {"new": 45.57}),
        ("table5", "imagenet", "coop+fdbpl", "clip-vit-base-patch16", {"new": 65.12}),
        (
            "table6",
            "imagenet_a",
            "coop+fdbpl lambda_diff1=0 lambda_diff2=0.1",
            "",
            {"accuracy": 30.45},
        ),
        (
            "table6",
            "average",
            "promptsrc+fdbpl lambda_diff1=0.1 lambda_diff2=0.1",
            "",
            {"accuracy": 50.0},
        ),
    ],
)
def test_a_row_finds_what_the_paper_prints_for_it(
    numbers, table, dataset, method, part, expected
):
    ours = numbers_of(table, numbers)
    line = line_of(table, row(dataset, method), part, ours)
    assert published_in(line) == expected
    assert line["method"] == method.split(" ")[0]


def test_what_is_varied_is_said(numbers):
    def varied(table, method, part="", trained=True):
        ours = numbers_of(table, numbers)
        return line_of(table, row("dtd", method, trained), part, ours)["varied"]

    assert varied("table3", "coop shots=4") == "shots=4"
    assert varied("table4", "coop+fdbpl", "mr") == "mr"
    assert varied("table4", "zero-shot (data-set template)", "mr", trained=False) == ""
    assert varied("table4", "teacher", "mr", trained=False) == ""
    assert varied("table5", "teacher", "large", trained=False) == "large"
    both = "coop+fdbpl lambda_diff1=0.1 lambda_diff2=0"
    assert varied("table6", both) == "difference losses: first"


@pytest.fixture(name="workdir")
def _workdir(tmp_path):
    base = [cell("dtd", "zero-shot", None, 53.2, 53.9, 0.0, 0.1, 0, 0)]
    for label, accuracy in (("hard", 70.0), ("mr", 71.0)):
        name = "coop" if label == "hard" else "coop+fdbpl"
        own = [cell("dtd", name, s, accuracy + s, 50.0, 1.0, 0.1, 8, 0) for s in (1, 2)]
        write(tmp_path, f"table4/{label}", [*base, *own])
    both = [cell(d, "promptsrc", 1, 60.0, None, 1.0, 0.1, 8, 0) for d in ("dtd", "x")]
    write(tmp_path, "table1", both)
    return tmp_path


def test_runs_are_collected_in_the_papers_order_and_shared_rows_once(workdir, numbers):
    tables = tables_of(workdir, numbers)
    assert [table.name for table in tables] == ["table1", "table4"]
    lines = tables[1].lines
    assert [line["method"] for line in lines] == ["zero-shot", "coop", "coop+fdbpl"]
    assert lines[1]["base_mean"] == 71.5
    assert len(tables[1].runs) == 2


def test_the_page_has_ours_beside_the_published_and_loads_nothing(workdir, numbers):
    sheets = sheets_of(workdir, numbers)
    text = page.html(sheets, numbers)
    assert '<td>72.50<span class="std"> ± 0.71</span></td>' in text
    assert "<td>46.52</td>" in text
    assert "dtd coop seed 2: &lt;lost&gt;" in text
    links = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert set(links) == {f"#{sheet.name}" for sheet in sheets}
    assert not re.search(r"url\(|@import|<script", text)
    assert "student small 123, teacher large 456" in text
    # A table without new classes has one accuracy.
    first = text.split("<h2")[1]
    assert ">accuracy<" in first
    assert ">HM<" not in first.split("What the paper prints")[0]


def test_markdown_and_csv_say_the_same(workdir, numbers):
    sheets = sheets_of(workdir, numbers)
    text = unpadded(markdown(sheets))
    assert "| dtd | coop+fdbpl | mr, K = 5 | 72.50 ± 0.71 | 50.00 ± 0.00 |" in text
    assert r"- dtd coop seed 2: \<lost\>" in text
    (line,) = [
        line
        for line in csv.DictReader(io.StringIO(csv_text(sheets[1].records)))
        if line["method"] == "coop+fdbpl"
    ]
    assert (line["base_mean"], line["published_new"], line["published_base"]) == (
        "72.5",
        "46.52",
        "",
    )


def test_what_was_trained_on_and_a_teacher_that_is_the_student_are_said(
    workdir, numbers
):
    for name in ("table1", "table6"):
        cells = [cell(d, "coop+fdbpl", 1, 60.0, None, 1.0, 0.1, 8, 0) for d in "ab"]
        facts = dataclasses.replace(FACTS, sizes={"a": (2, 10), "b": (2, 10)})
        write(workdir, name, cells, facts)
        about = table_sheet(name, workdir, numbers).about
        assert about == "Trained on a alone; the average leaves it out."
    for part, teacher in (("small", "small 123"), ("large", "large 456")):
        facts = dataclasses.replace(FACTS, teacher=teacher)
        write(workdir, f"table5/{part}", cells, facts)
    about = table_sheet("table5", workdir, numbers).about
    assert about == "Teacher 'small' is the student itself."


def test_every_published_table_can_be_shown(numbers):
    for table in ("table1", "table2", "table3", "table4", "table5", "table6"):
        titles, lines, words = published_table(table, numbers)
        assert all(len(line) == len(titles) for line in lines)
        assert ("varied" in titles) == (table not in ("table1", "table2"))
        assert words == (3 if "varied" in titles else 2)
    # A page has a heading over the lines of each data set, not over every line.
    lines = published_table("table6", numbers).lines
    names = [line[0] for line in lines]
    assert sum(a != b for a, b in itertools.pairwise(names)) == 5
    lines = published_table("table2", numbers).lines
    assert ("dtd", "CoOp", "77.17", "45.57", "57.31") in lines


def test_a_report_reads_back_as_it_was(tmp_path):
    cells = [cell("dtd", "coop", s, 60.0 + s, 50.0, 1.0, 0.1, 8, 0) for s in (1, 2)]
    rows = summarise(cells)
    write_report(tmp_path, rows, cells, FACTS)
    found, facts = read_report(tmp_path)
    assert list(found) == rows
    assert facts == FACTS
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(UserError, match=r"no report read from .*report\.json"):
        read_report(tmp_path)


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("table1", ""),
        ("table2", ""),
        ("table3", ""),
        *(("table4", part) for part in ("hard", "full", "ms", "mr", "mr/sun397,dtd")),
        *(("table5", part) for part in ("small", "large", "large/imagenet")),
        ("table6", ""),
        ("table6", "imagenet"),
        *(("figure9", part) for part in ("", "1", "20/sun397")),
        *(("figure10", part) for part in ("", *COMPONENTS, "kdpl/dtd,eurosat")),
        ("table1", "imagenet"),
    ],
)
def test_the_configs_of_the_tables_hold(name, argument):
    module = __import__(f"configs.paper.{name}", fromlist=["get_config"])
    config = run_config(module.get_config(*([argument] if argument else [])))
    assert config.folder.startswith(f"paper/{name}")


def test_figure_9_varies_k_and_figure_10_the_weights():
    from configs.paper import figure9, figure10

    assert figure9.get_config("8").ril.keep == 8
    weights = [
        tuple(figure10.get_config(part).fdbpl[f"lambda_{name}"] > 0 for name in ADDED)
        for part in ("pos", "neg", "diff1", "diff2")
    ]
    assert weights == [(n > 0, n > 1, n > 2) for n in range(4)]
    assert figure10.get_config("kdpl").methods == "coop+kdpl"


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", "a/", "a/../b", "."])
def test_a_name_stays_in_the_workdir(name):
    from fdbpl_jax.experiments.settings import default_config

    config = default_config()
    config.name = name
    with pytest.raises(UserError, match="config name"):
        run_config(config)


def test_averages_stand_beside_those_over_the_same_data_sets_only(tmp_path, numbers):
    names = "imagenet", "imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r"
    method = "coop+fdbpl lambda_diff1=0.1 lambda_diff2=0.1"

    def of_average(names, **sizes):
        cells = [cell(n, method, 1, 60.0, None, 1.0, 0.1, 8, 0) for n in names]
        rows = summarise(cells, averaged=names[1:])
        whole = {n: CATALOGUE[n].published for n in names}
        sizes = {n: (c.classes, c.test) for n, c in whole.items()} | sizes
        facts = dataclasses.replace(FACTS, sizes=sizes)
        write_report(tmp_path / "paper" / "table6", rows, cells, facts)
        (table,) = tables_of(tmp_path, numbers)
        lines = {line["dataset"]: published_in(line) for line in table.lines}
        assert lines["imagenetv2"] == {"accuracy": 57.87}
        return lines["average"]

    assert of_average(names) == {"accuracy": 49.3}
    assert of_average(names[:-1]) == {}
    assert of_average(names, another=(10, 100)) == {}
    assert of_average(names, imagenet_r=(200, 29_999)) == {}


@pytest.mark.parametrize("size", [(10, 300), (47, 300)])
def test_a_part_of_a_data_set_has_no_published_number(workdir, numbers, size):
    for label in ("hard", "mr"):
        cells = [cell("dtd", "coop+fdbpl", 1, 70.0, 50.0, 1.0, 0.1, 8, 0)]
        facts = dataclasses.replace(FACTS, sizes={"dtd": size})
        write(workdir, f"table4/{label}", cells, facts)
    lines = tables_of(workdir, numbers)[1].lines
    assert not any(map(published_in, lines))

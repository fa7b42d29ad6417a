"""Columns of sheets: one description, two ways of reading a line."""

from support.paper_reports import FACTS

from fdbpl_jax.paper.sheet import FinishedRun, Sheet
from fdbpl_jax.reports.columns import Column


def sheet(columns, lines, tmp_path, **change):
    runs = (FinishedRun(tmp_path, (), FACTS),)
    return Sheet("table2", "", "", columns, lines, runs, **change)


def test_columns_are_texts_on_the_page_and_values_in_the_file(tmp_path):
    columns = [
        Column("name", ("name",), word=True),
        Column("", ("count",)),
        Column("half", ("half",), in_file=False),
        Column("sum", ("a", "b"), "{}+{}".format),
    ]
    lines = [
        {"name": "x", "count": 4, "half": 2.0, "a": 4, "b": 1},
        {"name": "y", "count": 0, "half": 0.0, "a": 0, "b": 1},
    ]
    made = sheet(columns, lines, tmp_path, limit=1)
    assert (made.table.titles, made.table.words) == (("name", "half", "sum"), 1)
    assert made.table.lines == [("x", "2.0", "4+1")]
    assert made.records == [
        ["name", "count", "a", "b"],
        ["x", 4, 4, 1],
        ["y", 0, 0, 1],
    ]


def test_only_a_missing_value_is_blank(tmp_path):
    number = Column("n", ("n",), "{:.1f}".format)
    made = sheet([number], [{"n": 0.0}, {"n": None}], tmp_path)
    assert made.table.lines == [("0.0",), ("–",)]

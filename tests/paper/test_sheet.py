"""Columns of sheets: one description, two ways of reading a row."""

from support.paper_reports import FACTS

from fdbpl_jax.paper.sheet import Sheet, SheetColumn, column


def test_columns_are_texts_on_the_page_and_values_in_the_file():
    columns = [
        column("name", "name", lambda row: row[0], word=True),
        column("", "count", lambda row: row[1]),
        column("half", "", lambda row: row[1] and row[1] / 2),
        SheetColumn("sum", ("a", "b"), lambda row: (row[1], 1), "{}+{}".format),
    ]
    rows = [("x", 4), ("y", 0)]
    sheet = Sheet("table2", "", "", columns, rows, (FACTS,), limit=1)
    assert (sheet.titles, sheet.words) == (("name", "half", "sum"), 1)
    assert sheet.lines == [("x", "2.0", "4+1")]
    assert sheet.records == [
        ["name", "count", "a", "b"],
        ["x", 4, 4, 1],
        ["y", 0, 0, 1],
    ]


def test_only_a_missing_value_is_blank():
    number = column("n", "n", lambda row: row, "{:.1f}".format)
    sheet = Sheet("table2", "", "", [number], [0.0, None], (FACTS,))
    assert sheet.lines == [("0.0",), ("–",)]

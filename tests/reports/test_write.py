"""The report's files: the right numbers, nothing hidden, nothing that can break out."""

import csv
import dataclasses
import json
import os
import re
from html.parser import HTMLParser

import pytest
from support.cells import cell, summarise
from support.tables import unpadded

from fdbpl_jax.errors import UserError
from fdbpl_jax.reports.columns import seconds_text
from fdbpl_jax.reports.facts import RunFacts, TableFacts
from fdbpl_jax.reports.text import terminal_table
from fdbpl_jax.reports.write import read_report, write_report

TERMINAL = """
                                               HM of             train  compile
                 base         new          HM  means                 s        s   seeds
pets
  written  60.00       30.00       40.00       40.00                 0        –       1
  coop     85.00±7.07  80.00±0.00  82.35±3.33  82.42  13.0 (12.0–14.0)     0.50       2
  csc      70.00           –           –           –              1234     0.25  1 of 2
Missing: pets, csc: 1 of 2 cells finished
"""

HOSTILE = '<script>alert("1")</script>|*x* & `y`'


def cells(datasets=("pets", "dtd"), methods=("coop", "coop+fdbpl")):
    found = [
        cell(d, m, s, 60.0 + 10 * s, 30.0 + 5 * s, 10.0 ** (i + 1), 0.5, 9, 2**20)
        for d in datasets
        for i, m in enumerate(methods)
        for s in (0, 1, 2)
    ]
    zero = [cell(d, "zero-shot", None, 50.0, 50.0, 0.0, 0.5, 0, 0) for d in datasets]
    return zero + found


def facts(**change) -> RunFacts:
    return RunFacts(
        **{
            "protocol": "base2new",
            "command": "python -m fdbpl_jax.main --config=configs/base2new.py",
            "device": "cpu",
            "versions": {"jax": "0.10.2"},
            "tables": {
                "pets": TableFacts(600, 20, True, 12.0, 2_500_000, 0.0123),
                "dtd": TableFacts(900, 5, False, 0.0, 0, 0.004),
            },
            "student": "tiny (0123456789ab)",
            "teacher": "small (ba9876543210)",
            "config": (("optim.lr", "0.1"),),
            "started": "2025-01-01 12:00 UTC",
            "notes": ("pets: features in 3 s",),
        }
        | change
    )


class _Page(HTMLParser):
    """Collects tags, attributes and text; fails on tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def _written(tmp_path, found=None, **change):
    found = cells() if found is None else found
    write_report(tmp_path, summarise(found), found, facts(**change))
    return {path.name: path.read_text() for path in tmp_path.iterdir()}


def test_five_files_and_nothing_else(tmp_path):
    names = set(_written(tmp_path / "base2new"))
    assert names == {
        "report.md",
        "report.csv",
        "cells.csv",
        "report.html",
        "report.json",
    }


def test_terminal_table_in_full():
    found = [
        cell("pets", "written", None, 60.0, 30.0, 0.0, 0.5, 0, 0),
        cell("pets", "coop", 0, 80.0, 80.0, 12.0, 0.5, 9, 0),
        cell("pets", "coop", 1, 90.0, 80.0, 14.0, 0.5, 9, 2**20),
        cell("pets", "csc", 0, 70.0, None, 1234.0, 0.25, 9, 0),
    ]
    assert terminal_table(summarise(found)) == TERMINAL.strip("\n")


def test_terminal_table_keeps_to_110_columns():
    method = "a-very-long-method-name+with-an-even-longer-objective"
    found = [
        cell("d" * 120, method, s, 100.0 * s, 100.0 * s, 98765.4, 1e5, 9, 2**37)
        for s in (0, 1)
    ]
    lines = terminal_table(summarise(found)).splitlines()
    assert max(map(len, lines)) <= 110
    assert "…" in lines[-1]
    assert "a-very" in lines[-1]
    assert "50.00±70.71" in lines[-1]


def test_terminal_table_tells_the_settings_of_a_sweep_apart():
    names = [f"coop+fdbpl lr={lr} lambda_neg=0.5 alpha=2" for lr in ("0.01", "0.05")]
    found = [
        cell("pets", name, s, 50.0 + s, 60.0 + s, 12345.0, 0.5, 9, 2**37)
        for name in names
        for s in (0, 1)
    ]
    text = terminal_table(summarise(found))
    assert all(name in text for name in names)


def test_memory_is_shown_where_every_method_had_a_process_of_its_own(tmp_path):
    alone = [cell("a", m, 1, 50.0, 50.0, 1.0, 0.1, 9, 3 * 2**20) for m in ("m", "n")]
    files = _written(tmp_path / "own", alone)
    assert (
        "| a | n | 50.00 | 50.00 | 50.00 | 50.00 | 1.00 | 0.10 | 25 | 2,048 | 3 |"
        in (unpadded(files["report.md"]))
    )
    assert "Memory is the most" in files["report.html"]
    shared = [alone[0], alone[1].replaced({"memory_bytes": None})]
    files = _written(tmp_path / "shared", shared)
    assert "emory" not in files["report.md"] + files["report.html"]
    assert "MiB" not in terminal_table(summarise(shared))


def test_the_best_is_marked_only_beyond_the_standard_error(tmp_path):
    def text(lead, name):
        shared = [
            cell("a", m, s, 50.0 + 2 * s + more, 50.0 + 2 * s + more, 1.0, 0.1, 9, 0)
            for m, more in (("m", 0.0), ("n", lead))
            for s in (0, 1)
        ]
        files = _written(tmp_path / name, shared)
        assert ("★ is the best" in files["report.html"]) == ("★" in files["report.md"])
        return unpadded(files["report.md"])

    # Spread √2 each, of two seeds an error of 1, of the difference √2.
    assert "★" not in text(1.41, "within")
    (line,) = [x for x in text(1.42, "beyond").splitlines() if x.endswith("| ★ |")]
    assert line.startswith("| a | n |")


def test_times_that_are_not_known_are_left_blank(tmp_path):
    older = cell("a", "m", 1, 50.0, 50.0, 9.0, 0.1, 9, 0)
    older = older.replaced({"epochs_seconds": None, "compile_seconds": None})
    text = unpadded(_written(tmp_path, [older])["report.md"])
    assert "| a | m | 50.00 | 50.00 | 50.00 | 50.00 | – | – | 25 | 2,048 | 1 |" in text


def test_markdown_has_a_line_a_row_with_the_titles(tmp_path):
    text = _written(tmp_path)["report.md"]
    lines = [unpadded(line) for line in text.splitlines() if line.startswith("| ")]
    titles = ["dataset", "method", "base", "new", "HM"]
    assert [t.strip() for t in lines[0].split("|")[1:6]] == titles
    row = next(line for line in lines if line.startswith("| dtd | coop |"))
    # HMs of the seeds: 40, 46.67, 53.33; HM of 70 and 35.
    assert (
        "| 70.00 ± 10.00 | 35.00 ± 5.00 | 46.67 ± 6.67 | 46.67 | 10.0 | 0.50 | 25 |"
        in row
    )
    assert sum(line.startswith("| average |") for line in lines) == 3


def test_markdown_cannot_be_broken_out_of(tmp_path):
    found = cells(methods=(HOSTILE,))
    text = _written(tmp_path, found, command="a\n```\n# b", notes=(HOSTILE,))
    text = text["report.md"]
    assert "<script>" not in text.replace("\\<script\\>", "")
    rows = [line for line in text.splitlines() if line.startswith("| pets")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows[:2]} == {13}
    assert "\n    # b\n" in text


def test_csv_has_every_digit(tmp_path):
    found = cells()
    files = _written(tmp_path, found)
    read = list(csv.DictReader(files["cells.csv"].splitlines()))
    assert len(read) == len(found) == 14
    assert read[0]["seed"] == ""
    assert float(read[3]["base"]) == 70.0
    rows = list(csv.DictReader(files["report.csv"].splitlines()))
    expected = summarise(found)
    assert [row["dataset"] for row in rows] == [row.dataset for row in expected]
    assert [float(row["hm"]) for row in rows] == [row.hm for row in expected]
    assert rows[0]["base_std"] == ""


def test_a_table_is_said_with_its_size_and_times(tmp_path):
    files = _written(tmp_path)
    built = "| pets | 600 | 20 | 2.5 | 12.3 | 12.0 | 50 | built it |"
    found = "| dtd | 900 | 5 | – | 4.0 | – | – | used it unchanged |"
    assert built in unpadded(files["report.md"])
    assert found in unpadded(files["report.md"])


def test_page_is_whole_and_fetches_nothing(tmp_path):
    text = _written(tmp_path)["report.html"]
    page = _Page(text)
    assert not {"script", "link", "img", "iframe", "image", "use"} & set(page.tags)
    assert not {"src", "href", "srcset"} & {name for name, _ in page.attributes}
    assert not re.search(r"https?:|url\(|@import", text)
    assert "width=device-width" in text
    assert "prefers-color-scheme: dark" in text
    words = " ".join(page.text)
    for expected in ("46.67", "built it", "optim.lr", "0123456789ab", "pets: features"):
        assert expected in words


def test_page_escapes_everything(tmp_path):
    found = cells(datasets=(HOSTILE, "b"), methods=(HOSTILE,))
    change = dict.fromkeys(
        ("protocol", "command", "device", "student", "teacher", "started"), HOSTILE
    )
    text = _written(
        tmp_path,
        found,
        **change,
        versions={HOSTILE: HOSTILE},
        tables={HOSTILE: TableFacts(1, 1, True, 1.0, 0, 1.0)},
        config=((HOSTILE, HOSTILE),),
        notes=(HOSTILE,),
    )["report.html"]
    assert "script" not in _Page(text).tags
    assert "<script" not in text


def test_no_name_forges_a_line(tmp_path):
    forged = "ant\n| forged\x1b[31m"
    results = cells(datasets=(forged, "b"), methods=("coop",))[:-1]  # one missing
    change = dict.fromkeys(("protocol", "device", "student"), forged)
    change |= {"config": ((forged, forged),), "notes": (forged,), "failures": (forged,)}
    tables = {forged: TableFacts(1, 1, True, 1.0, 0, 1.0)}
    files = _written(tmp_path, results, **change, tables=tables)
    files["terminal"] = terminal_table(summarise(results))
    for name, text in files.items():
        assert "\x1b" not in text, name
        starts = [
            line for line in text.split("\n") if line.lstrip("| -").startswith("forged")
        ]
        assert not starts, name


def test_what_is_missing_is_said_everywhere(tmp_path):
    found = cells()
    lost = [c for c in found if c.key != ("dtd", "coop", 1)]
    files = _written(tmp_path, lost)
    for name in ("report.md", "report.html"):
        assert "dtd, coop: 2 of 3 cells finished" in files[name]
        assert "2 of 3" in files[name].split("Accuracy</h2>")[0].split("Missing", 1)[1]
    assert "Missing" not in "".join(_written(tmp_path / "whole", found).values())


def test_a_method_without_new_classes_is_drawn_and_left_blank(tmp_path):
    found = [cell("a", "csc", s, 60.0, None, 1.0, 0.5, 9, 1) for s in (0, 1)]
    found.append(cell("a", "coop", 0, 60.0, 50.0, 1.0, 0.5, 9, 1))
    files = _written(tmp_path, found)
    assert "| a | csc | 60.00 ± 0.00 | – | – | – |" in unpadded(files["report.md"])
    assert "None" not in files["report.md"] + files["report.html"]
    assert "nan" not in files["report.html"].lower().split("</style>")[1]


def test_a_protocol_in_which_nothing_finished_still_has_a_report(tmp_path):
    rows = summarise([], [("a", "m", 0), ("a", "m", 1)])
    write_report(tmp_path, rows, [], facts(tables={}, config=(), notes=()))
    assert "a, m: 0 of 2 cells finished" in (tmp_path / "report.html").read_text()


def test_a_report_reads_back_and_so_does_one_written_by_json(tmp_path):
    rows = tuple(summarise(cells()))
    write_report(tmp_path, rows, cells(), facts(sizes={"pets": (37, 3669)}))
    assert read_report(tmp_path) == (rows, facts(sizes={"pets": (37, 3669)}))
    content = {
        "rows": [dataclasses.asdict(row) for row in rows],
        "facts": dataclasses.asdict(facts(notes=("5 ± 1",))),
    }
    (tmp_path / "report.json").write_text(json.dumps(content, indent=1) + "\n")
    assert read_report(tmp_path) == (rows, facts(notes=("5 ± 1",)))


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('"base_mean": 50.0', '"base_mean": "50.0"', r"\$\.rows\[0\]\.base_mean"),
        ('"base_mean": 50.0', '"base_mean": NaN', "malformed"),
        ('"seeds": 1,', "", "missing required field `seeds`"),
        ('"seeds": 1,', '"seeds": 1.5,', r"\$\.rows\[0\]\.seeds"),
        ("600", '"600"', r"\$\.facts\.tables\[\.\.\.\]\[0\]"),
        ('"command"', '"order"', "missing required field `command`"),
        ("\n}\n", "", "truncated"),
        ('"base_mean": 50.0', '"base_mean": 51.0', "its check sum is wrong"),
    ],
)
def test_a_damaged_report_is_refused_with_its_file_and_field(tmp_path, old, new, field):
    _written(tmp_path)
    file = tmp_path / "report.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    message = rf"no report read from '{re.escape(str(file))}': .*{field}"
    with pytest.raises(UserError, match=message) as refused:
        read_report(tmp_path)
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match="No such file"):
        read_report(tmp_path / "nothing")


def test_a_failed_write_leaves_the_old_report(tmp_path, monkeypatch):
    before = _written(tmp_path)

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"cannot write .*report\.md: No space left"):
        write_report(tmp_path, [], [], facts())
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == before


def test_seconds_are_short():
    texts = [seconds_text(s) for s in (None, 0.0, 0.421, 9.996, 123.45, 12345.6)]
    assert texts == ["–", "0", "0.42", "10.00", "123.5", "12346"]

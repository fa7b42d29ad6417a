"""Figures 8, 9 and 10 from reports whose numbers are known."""

import csv
import dataclasses
import io
import json

import pytest
from support.cells import cell
from support.paper_reports import FACTS, write

from fdbpl_jax.errors import UserError
from fdbpl_jax.files import csv_text
from fdbpl_jax.paper import published
from fdbpl_jax.paper.figures import (
    COMPONENTS,
    component_sheet,
    keep_sheet,
    time_sheet,
)
from fdbpl_jax.paper.page import sheets_of
from fdbpl_jax.reports.facts import TableFacts

MIB = 2**20
GPU = dataclasses.replace(FACTS, device="1 × NVIDIA H100")


@pytest.fixture(scope="module", name="numbers")
def _printed():
    return published.load()


def trained(method, seconds, memory=0, dataset="dtd", new=50.0, seeds=(1, 2)):
    return [
        cell(dataset, method, seed, 60.0 + seed, new, seconds, 0.1, 8, memory)
        for seed in seeds
    ]


def records(sheet):
    return list(csv.DictReader(io.StringIO(csv_text(sheet.records))))


def test_times_stand_beside_those_of_kdpl_with_the_same_learner(tmp_path, numbers):
    cells = [cell("dtd", "zero-shot", None, 53.2, 53.9, 0.0, 0.1, 0, 0)]
    for dataset in ("dtd", "eurosat"):
        cells += trained("coop", 4.0, dataset=dataset)
        cells += trained(
            "coop+kdpl", 10.0 if dataset == "dtd" else 12.0, dataset=dataset
        )
        fdbpl = trained("coop+fdbpl", 2.0, dataset=dataset)
        cells += [one.replaced({"table_seconds": 6.0}) for one in fdbpl]
        cells += trained("vpt", 3.0, dataset=dataset)
    write(tmp_path, "table2", cells)
    sheet = time_sheet(tmp_path, numbers)
    values = {line[:2]: line[2:] for line in sheet.table.lines}
    assert values["dtd", "coop+fdbpl"] == ("2.00", "0.10", "6.00", "× 5.00")
    assert values["eurosat", "coop"] == ("4.00", "0.10", "–", "× 3.00")
    assert values["dtd", "vpt"] == ("3.00", "0.10", "–", "–")
    assert not {"zero-shot", "average"} & {word for line in values for word in line}
    assert [panel.names for panel in sheet.panels] == [
        ("coop", "coop+kdpl", "coop+fdbpl", "vpt")
    ] * 2
    assert sheet.panels[0].series == {"": (4.0, 10.0, 2.0, 3.0)}
    assert sheet.panels[0].hatched == (None, None, 6.0, None)
    assert sheet.panels[0].texts == ("4.00", "10.0", "2.00 + 6.00", "3.00")
    assert "dtd 1.00 s for 10 regions" in sheet.about
    assert "+69 %" in sheet.about
    values = FACTS.tables["dtd"]._replace(built=False)
    facts = dataclasses.replace(FACTS, tables={"dtd": values})
    write(tmp_path, "table2", cells, facts)
    assert "RIL tables" not in time_sheet(tmp_path, numbers).about
    sheet = time_sheet(tmp_path, numbers)
    assert records(sheet)[2]["kdpl_epochs_seconds"] == "10.0"


def write_keep(workdir, keep, epochs, **table):
    """A run of figure 9; `epochs` are the seconds of a seed's epochs."""
    values = {"keep": keep, "disk_bytes": 1000 * keep, "read_seconds": keep / 1000}
    facts = FACTS.tables["dtd"]._replace(**values | table)
    facts = dataclasses.replace(GPU, tables={"dtd": facts}, failures=())
    name = f"figure9/{keep}"
    write(workdir, name, trained("coop+fdbpl", 9.0, keep * MIB), facts)
    for seed, seconds in enumerate(epochs, 1):
        folder = workdir / "paper" / name / "dtd" / "coop+fdbpl" / f"seed{seed}"
        folder.mkdir(parents=True)
        (folder / "results.jsonl").touch()
        lines = [
            json.dumps({"step": 2 * e + half, "epoch": e, "epoch_seconds": value})
            for e, value in enumerate(seconds)
            for half in (0, 1)
        ]
        (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")


def test_what_k_costs_is_in_the_order_of_k(tmp_path, numbers):
    write_keep(tmp_path, 10, [(0.5, 0.02, 0.02), (0.9, 0.04, 0.04)])
    write_keep(tmp_path, 5, [(0.5, 0.01, 0.01), (0.9, 0.01, 0.01)])
    write_keep(tmp_path, 20, [(0.5, 0.1, 0.1), (0.9, 0.1, 0.1)])
    sheet = keep_sheet(tmp_path, numbers)
    assert [line[2] for line in sheet.table.lines] == ["5", "10", "20"]
    # Median of a seed's epochs, without compilation; median of the seeds.
    assert [line[6] for line in sheet.table.lines] == ["10.0", "30.0", "100.0"]
    assert [line[7:] for line in sheet.table.lines] == [
        ("5.0", "5", "500"),
        ("10.0", "10", "1000"),
        ("20.0", "20", "2000"),
    ]
    accuracy, epoch, read, memory, disk = sheet.panels
    assert accuracy.title == "accuracy on new classes"
    assert accuracy.series == {"coop+fdbpl": (50.0,) * 3}
    assert accuracy.spreads == {"coop+fdbpl": (0.0,) * 3}
    assert epoch.series["coop+fdbpl"] == pytest.approx((10.0, 30.0, 100.0))
    assert read.series["coop+fdbpl"] == pytest.approx((5.0, 10.0, 20.0))
    assert memory.series == {"coop+fdbpl": (5.0, 10.0, 20.0)}
    assert disk.series == {"coop+fdbpl": (500.0, 1000.0, 2000.0)}
    assert {panel.names for panel in sheet.panels} == {("5", "10", "20")}


def test_a_table_that_is_not_on_a_local_disk_has_no_size(tmp_path, numbers):
    write_keep(tmp_path, 5, [(0.5,), (0.5,)], disk_bytes=0)
    sheet = keep_sheet(tmp_path, numbers)
    assert sheet.table.lines[0][-1] == "–"
    assert records(sheet)[0]["disk_bytes_per_region"] == ""
    assert len(sheet.panels) == 4  # none of the disk


def test_memory_is_left_blank_where_a_process_trained_more(tmp_path, numbers):
    for part, method in (("kdpl", "coop+kdpl"), ("pos", "coop+fdbpl")):
        cells = trained(method, 2.0, 100 * MIB)
        cells += trained(method, 2.0, dataset="eurosat")
        write(tmp_path, f"figure10/{part}", cells, GPU)
    sheet = component_sheet(tmp_path, numbers)
    assert [line[-2:] for line in sheet.table.lines] == [("100", "100")] * 2 + [
        ("–", "–")
    ] * 2
    assert len(sheet.panels) == 5  # no memory of the second data set


def test_memory_of_a_cpu_is_not_shown(tmp_path, numbers):
    for part, method in (("kdpl", "coop+kdpl"), ("pos", "coop+fdbpl")):
        write(tmp_path, f"figure10/{part}", trained(method, 2.0, 100 * MIB))
    sheet = component_sheet(tmp_path, numbers)
    assert not [title for title in sheet.table.titles if "emory" in title]
    assert [panel.title for panel in sheet.panels] == [
        "accuracy on dtd",
        "training on dtd",
    ]


def test_half_a_cell_and_methods_without_a_table_do_not_count(tmp_path, numbers):
    write_keep(tmp_path, 5, [(0.01,), (0.01,)])
    half = tmp_path / "paper/figure9/5/dtd/coop+fdbpl/seed3"
    half.mkdir()
    (half / "metrics.jsonl").write_text("{")
    sheet = keep_sheet(tmp_path, numbers)
    assert [line[6] for line in sheet.table.lines] == ["10.0"]
    facts = dataclasses.replace(FACTS, tables={})
    write(tmp_path, "figure9/5", trained("coop", 1.0), facts)
    assert sheets_of(tmp_path, numbers) == []


def test_a_cell_without_times_of_epochs_is_refused(tmp_path, numbers):
    write_keep(tmp_path, 5, [(0.5,), (0.5,)])
    file = tmp_path / "paper/figure9/5/dtd/coop+fdbpl/seed2/metrics.jsonl"
    for text in ("", '{"step": 0, "epoch": 0}\n', "{"):
        file.write_text(text)
        with pytest.raises(UserError, match=r"no times of epochs in .*seed2"):
            keep_sheet(tmp_path, numbers)


def test_components_stand_in_the_order_in_which_they_are_added(tmp_path, numbers):
    for part in reversed(COMPONENTS):
        method = "coop+kdpl" if part == "kdpl" else "coop+fdbpl"
        memory = 200 if part == "kdpl" else 50
        write(tmp_path, f"figure10/{part}", trained(method, 2.0, memory * MIB), GPU)
    sheet = component_sheet(tmp_path, numbers)
    assert [line[1] for line in sheet.table.lines] == list(COMPONENTS.values())
    assert [line[-1] for line in sheet.table.lines] == ["100", "25", "25", "25", "25"]
    accuracy, seconds, memory = sheet.panels
    assert set(accuracy.series) == {"base", "new", "HM"}
    assert accuracy.series["base"] == (61.5,) * 5
    assert seconds.series == {"": (2.0,) * 5}
    assert memory.series == {"": (200.0, 50.0, 50.0, 50.0, 50.0)}


def test_without_kdpl_there_is_no_share_of_its_memory(tmp_path, numbers):
    write(tmp_path, "figure10/pos", trained("coop+fdbpl", 2.0, 50 * MIB, new=None), GPU)
    sheet = component_sheet(tmp_path, numbers)
    assert sheet.table.lines[0][-1] == "–"
    assert set(sheet.panels[0].series) == {"base"}  # nothing was tested on new classes


def test_what_is_missing_is_said(tmp_path, numbers):
    cells = trained("coop+fdbpl", 2.0, seeds=(1,))
    planned = [("dtd", "coop+fdbpl", seed) for seed in (1, 2)]
    planned.append(("eurosat", "coop+fdbpl", 1))
    write(tmp_path, "figure10/pos", cells, planned=planned)
    sheet = component_sheet(tmp_path, numbers)
    assert sheet.lost == (
        "dtd, coop+fdbpl: 1 of 2 cells finished",
        "eurosat, coop+fdbpl: 0 of 1 cells finished",
        "dtd coop seed 2: <lost>",
    )


def test_what_was_not_run_is_not_there(tmp_path, numbers):
    assert sheets_of(tmp_path, numbers) == []
    write(tmp_path, "table2", trained("coop", 4.0))
    assert [one.name for one in sheets_of(tmp_path, numbers)] == ["table2", "figure8"]


def test_table_facts_are_read_back(tmp_path, numbers):
    write(tmp_path, "table2", trained("coop", 4.0))
    (run,) = time_sheet(tmp_path, numbers).runs
    assert run.facts.tables["dtd"] == TableFacts(10, 5, True, 1.0, 1000, 0.01)

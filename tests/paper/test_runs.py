"""What each table and figure needs is run, each part once, and failures are said."""

import dataclasses
import sys
from pathlib import Path

import pytest
from support.cells import cell
from support.paper_reports import FACTS, write

from fdbpl_jax.data.catalogue import CATALOGUE
from fdbpl_jax.errors import UserError
from fdbpl_jax.paper import pictures, runs
from fdbpl_jax.paper.drawing import Drawing
from fdbpl_jax.paper.runs import (
    NAMES,
    PaperOptions,
    PaperRun,
    make,
    run_flags,
    runs_of,
)

CHECKOUT = Path(__file__).parents[2]
EMBEDDED = PaperOptions(Path("w"))
ON_DISK = PaperOptions(
    *(Path("w"), "dtd,eurosat", "DATA", "hub/small", "hub/large"),
    *(None, (), (), ("--config.seeds=1,2",)),
)


@pytest.fixture(name="started")
def _started(monkeypatch):
    """Commands that were started in place of programs; those with "fails" fail."""
    monkeypatch.chdir(CHECKOUT)
    commands = []

    def start(command):
        assert command[0] == sys.executable
        commands.append(command[2:])
        return command

    monkeypatch.setattr(runs, "start", start)
    monkeypatch.setattr(runs, "wait", lambda command: "table4.py:ms" in str(command))
    return commands


def test_all_tables_and_figures_of_the_paper_can_be_asked_for():
    names = [f"table{n}" for n in range(1, 7)]
    names += [f"figure{n}" for n in (1, 8, 9, 10, 11, 12)]
    assert list(NAMES) == names


def test_every_run_has_a_config_that_takes_its_part(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    for options in (EMBEDDED, ON_DISK):
        for run in (run for name in NAMES for run in runs_of(name, options)):
            config = __import__(f"configs.paper.{run.config}", fromlist=["x"])
            argument = run_flags(run, options)[0].partition(":")[2]
            name = config.get_config(*([argument] if argument else [])).name
            assert name == "/".join(filter(None, ("paper", run.config, run.part)))


def test_flags_of_runs_on_disk():
    assert run_flags(PaperRun("table2"), ON_DISK) == [
        "--config=configs/paper/table2.py:dtd,eurosat",
        "--workdir=w",
        "--config.data.root=DATA",
        "--config.student=hub/small",
        "--config.teacher=hub/large",
        "--config.seeds=1,2",
    ]
    embedded = ["--config=configs/paper/table4.py:ms", "--workdir=w"]
    assert run_flags(PaperRun("table4", "ms"), EMBEDDED) == embedded


def test_sparse_labels_keep_what_is_asked():
    options = dataclasses.replace(EMBEDDED, keep=3)
    keeps = {
        run.part: "--config.ril.keep=3" in run_flags(run, options)
        for run in runs_of("table4", options)
    }
    assert keeps == {"hard": False, "full": False, "ms": True, "mr": True}


def test_table_5_asks_each_teacher():
    small, large = runs_of("table5", ON_DISK)
    assert small.part == "small"
    assert "--config.teacher=hub/small" in run_flags(small, ON_DISK)
    assert "--config.teacher=hub/large" in run_flags(large, ON_DISK)
    assert run_flags(large, ON_DISK)[0].endswith("table5.py:large/dtd,eurosat")
    several = dataclasses.replace(ON_DISK, teachers=("a/x", "a/y", "b/z"))
    assert [run.part for run in runs_of("table5", several)] == ["x", "y", "z"]


@pytest.mark.parametrize(
    "change",
    [
        {"student": "", "teacher": ""},
        {"teacher": "."},
        {"teachers": ("a/m", "b/m")},
        {"datasets": "", "teachers": ("a/m", "b/n")},
    ],
)
def test_teachers_that_cannot_be_told_apart_are_refused(change):
    options = dataclasses.replace(ON_DISK, **change)
    with pytest.raises(UserError, match="teachers"):
        runs_of("table5", options)
    assert runs_of("table4", options)


def test_a_teacher_of_the_embedded_world_is_not_table_5s():
    options = dataclasses.replace(EMBEDDED, teacher="other")
    for run in runs_of("table5", options):
        assert not any("teacher" in flag for flag in run_flags(run, options))
    assert "--config.teacher=other" in run_flags(PaperRun("table1"), options)


@pytest.mark.parametrize("keep", ["five", "0", "-1", ""])
def test_what_is_no_k_is_refused(keep):
    with pytest.raises(UserError, match="no number of labels"):
        runs_of("figure9", dataclasses.replace(EMBEDDED, keeps=(keep,)))


def test_runs_whose_memory_is_compared_are_of_one_data_set():
    flags = run_flags(PaperRun("figure9", "5"), ON_DISK)
    assert flags[0] == "--config=configs/paper/figure9.py:5/dtd"


def test_a_run_that_several_need_is_made_once(started):
    assert make(["figure8", "table2", "figure1"], EMBEDDED) == []
    assert started == [
        ["fdbpl_jax.main", "--config=configs/paper/table2.py", "--workdir=w"]
    ]


def test_what_is_shared_is_made_before_memory_is_compared(started):
    make(["figure9"], EMBEDDED)
    assert len(started) == 8
    for first, second in zip(started[::2], started[1::2], strict=True):
        assert first == [*second, "--prepare"]


def test_a_failure_is_said_and_stops_nothing(started):
    assert make(["table4", "table3"], EMBEDDED) == ["table4 ms"]
    assert started[-1][1] == "--config=configs/paper/table3.py"


@pytest.fixture(name="drawn")
def _drawn(monkeypatch):
    """What is drawn in place of opening and drawing it."""
    calls = []

    def draw(*arguments):
        calls.append(arguments)
        return Drawing(b"png", (), [])

    monkeypatch.setattr(pictures, "open_cell", lambda *arguments: arguments)
    monkeypatch.setattr(pictures, "attention", draw)
    monkeypatch.setattr(pictures, "cases", draw)
    return calls


def finish(workdir, part, seed, dataset="eurosat"):
    facts = dataclasses.replace(FACTS, sizes={dataset: (10, 8100)})
    cells = [cell(dataset, "coop+fdbpl", seed, 60.0, 50.0, 1.0, 0.1, 8, 0)]
    write(workdir, f"figure10/{part}", cells, facts)
    place = workdir / f"paper/figure10/{part}/{dataset}/coop+fdbpl/seed{seed}"
    place.mkdir(parents=True)
    (place / "results.jsonl").touch()
    return place


def test_figure_11_needs_no_cell_but_its_own(started, drawn, tmp_path):
    options = dataclasses.replace(EMBEDDED, workdir=tmp_path)
    cell_folder = finish(tmp_path, "diff2", 1)
    assert make(["figure11"], options) == []
    ((opened, _),) = drawn
    assert opened == (cell_folder, "", str(tmp_path / "shapes"))


def test_pictures_are_drawn_of_the_first_seed_that_both_cells_have(
    started, drawn, tmp_path
):
    options = dataclasses.replace(EMBEDDED, workdir=tmp_path)
    assert make(["figure11", "figure12"], options) == ["figure11", "figure12"]
    finish(tmp_path, "diff2", 1)
    finish(tmp_path, "neg", 3)
    assert make(["figure12"], options) == ["figure12"]
    one, other = finish(tmp_path, "diff2", 2), finish(tmp_path, "neg", 2)
    finish(tmp_path, "diff2", 3)
    assert drawn == []
    options = dataclasses.replace(options, data_root="DATA")
    assert make(["figure11", "figure12"], options) == []
    attention, cases = drawn
    assert attention[0] == (one, "", "DATA")
    assert cases[:3] == (
        (one, "", "DATA"),
        (other, "", "DATA"),
        tmp_path / "features",
    )
    assert (tmp_path / "paper/pictures/figure12-eurosat.json").exists()


def test_pictures_are_drawn_after_all_runs(started, drawn, tmp_path, monkeypatch):
    """The process that draws holds the device, which the runs need."""
    options = dataclasses.replace(EMBEDDED, workdir=tmp_path)
    finish(tmp_path, "diff2", 1)

    def draw(*_):
        drawn.append(len(started))
        return {}

    monkeypatch.setattr(pictures, "attention", draw)
    make(["figure11", "table1", "figure9"], options)
    assert drawn == [len(started)] == [11]


def test_what_cannot_be_made_is_refused():
    with pytest.raises(UserError, match=r"figure 'figure7'\. Did you mean 'figure"):
        make(["figure7"], EMBEDDED)


@pytest.mark.parametrize("name", ["base2new", "methods", "paper.table2"])
def test_all_names_the_eleven_data_sets(name):
    module = __import__(f"configs.{name}", fromlist=["get_config"])
    datasets = module.get_config("all").data.datasets.split(",")
    assert len(datasets) == 11
    assert datasets[0] == "imagenet"
    assert CATALOGUE.keys() >= set(datasets)

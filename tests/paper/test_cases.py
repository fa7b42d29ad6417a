"""Images on which two cells differ, against the accuracies they were scored with."""

import csv
import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fdbpl_jax.errors import UserError
from fdbpl_jax.paper import cell
from fdbpl_jax.paper.cases import (
    RIGHT,
    WRONG,
    Case,
    cases_picture,
    changed_cases,
)
from fdbpl_jax.paper.cell import open_cell
from fdbpl_jax.reports.results import CellResult


def folder(workdir, seed):
    return workdir / "base2new" / "shapes-negative" / "coop+fdbpl" / f"seed{seed}"


@pytest.fixture(scope="module", name="cells")
def _cells(workdir):
    shapes = str(workdir / "shapes")
    return [open_cell(folder(workdir, seed), "", shapes) for seed in (1, 2)]


@pytest.fixture(scope="module", name="cases")
def _cases(workdir, cells):
    return changed_cases(cells[0], cells[1], workdir / "features")


@pytest.mark.parametrize("name", ["export", "export/prompts", "results.jsonl"])
def test_a_cell_with_a_part_of_another_is_refused(workdir, tmp_path, name):
    cell = shutil.copytree(folder(workdir, 1), tmp_path / "cell")
    other = folder(workdir, 2) / name
    if other.is_dir():
        shutil.rmtree(cell / name)
        shutil.copytree(other, cell / name)
    else:
        shutil.copy(other, cell / name)
    with pytest.raises(UserError, match=r"cannot be trusted|are damaged"):
        open_cell(cell, "", str(workdir / "shapes"))


def test_cases_account_for_the_difference_of_the_accuracies(workdir, cells, cases):
    one, other = (
        CellResult.from_json((folder(workdir, seed) / "results.jsonl").read_text())
        for seed in (1, 2)
    )
    images = len(cells[0].dataset.test) / 2  # of a half
    trained_on = set(cells[0].facts["class_names"])
    for what in ("base", "new"):
        own = [case for case in cases if (case.truth in trained_on) == (what == "base")]
        gained = sum(1 if case.what == RIGHT else -1 for case in own)
        assert len(own) > 3
        assert 100 * gained / images == pytest.approx(
            getattr(one, what) - getattr(other, what)
        )


def test_a_case_is_right_on_one_side(cases):
    for case in cases:
        assert (case.after == case.truth) == (case.what == RIGHT)
        assert (case.before == case.truth) == (case.what == WRONG)
    sizes = [abs(case.gain) for case in cases]
    assert sizes == sorted(sizes, reverse=True)


def test_the_other_way_round_right_is_wrong(workdir, cells, cases):
    turned = changed_cases(cells[1], cells[0], workdir / "features")
    swap = {RIGHT: WRONG, WRONG: RIGHT}
    found = {(case.path, case.before, swap[case.what]) for case in turned}
    assert found == {(case.path, case.after, case.what) for case in cases}


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        ("dataset", "dtd", "has dataset 'shapes-negative', and .* 'dtd'"),
        ("classes", "all", "has classes 'base', and .* 'all'"),
    ],
)
def test_cells_of_other_runs_are_refused(cells, tmp_path, where, value, words):
    facts = cells[1].facts | {"config": cells[1].facts["config"] | {where: value}}
    with pytest.raises(UserError, match=words):
        changed_cases(cells[0], cells[1]._replace(facts=facts), tmp_path)
    facts = cells[1].facts | {"student": {"sha256": "another"}}
    with pytest.raises(UserError, match="are of other students"):
        changed_cases(cells[0], cells[1]._replace(facts=facts), tmp_path)


def test_a_student_that_has_moved_is_the_same(workdir, cells, cases):
    student = cells[1].facts["student"] | {"name": "elsewhere"}
    moved = cells[1]._replace(facts=cells[1].facts | {"student": student})
    assert changed_cases(cells[0], moved, workdir / "features") == cases


def test_contexts_of_single_classes_serve_no_new_ones(workdir, cells, cases):
    prompt = cells[1].facts["config"]["prompt"] | {"class_specific": True}
    config = cells[1].facts["config"] | {"prompt": prompt}
    specific = cells[1]._replace(facts=cells[1].facts | {"config": config})
    trained_on = set(cells[0].facts["class_names"])
    # The contexts are shared ones all the same; only what is asked of them differs.
    found = changed_cases(cells[0], specific, workdir / "features")
    assert {case.path for case in found} == {
        case.path for case in cases if case.truth in trained_on
    }


def test_data_of_other_classes_are_refused(workdir, cells, tmp_path, monkeypatch):
    few = dataclasses.replace(cells[0].dataset, class_names=tuple("abcd"), test=())
    monkeypatch.setattr(cell, "open_by_flag", lambda *_: few)
    with pytest.raises(UserError, match=r"has other classes than .*seed1' was trained"):
        open_cell(folder(workdir, 1), "", str(tmp_path))


def test_the_picture_has_tiles_for_what_there_is(cells):
    path = cells[0].dataset.test[0].path
    case = Case(path, RIGHT, "a very long name of a class " * 3, "b", "c", 0.1)
    one = cases_picture(cells[0], [case], 6)
    two = cases_picture(cells[0], [case] * 2, 6)
    slight = cases_picture(cells[0], [case] * 2 + [case._replace(gain=0.01)] * 4, 6)
    assert slight.size == two.size
    four = cases_picture(cells[0], [case] * 4, 6)
    assert two.width > 1.8 * one.width
    assert four.height > 1.7 * two.height
    assert cases_picture(cells[0], [case] * 9, 4).size == four.size
    # Nothing is drawn past the tile, however long a name is.
    assert (np.asarray(one)[:, -10:] == 255).all()
    assert cases_picture(cells[0], [], 6).height < one.height


def test_the_command_writes_the_picture_and_the_list(workdir, cases, tmp_path):
    picture = tmp_path / "figure12.png"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "fdbpl_jax.paper", "cases"),
            *(f"--cell={folder(workdir, 1)}", f"--other={folder(workdir, 2)}"),
            *(f"--data_root={workdir / 'shapes'}", f"--picture={picture}"),
            f"--features={workdir / 'features'}",
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    with Image.open(picture) as image:
        assert image.format == "PNG"
    lines = list(csv.DictReader(picture.with_suffix(".csv").read_text().splitlines()))
    assert [line["path"] for line in lines] == [case.path for case in cases]

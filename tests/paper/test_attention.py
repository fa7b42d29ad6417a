"""The picture of where prompts look, from a cell that was trained."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fdbpl_jax.clip.model import load_clip
from fdbpl_jax.data.splits import subset
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.accuracy import accuracy
from fdbpl_jax.evaluation.features import split_features
from fdbpl_jax.paper.attention import (
    one_of_each,
    overlaid,
    picture,
    prompt_texts,
)
from fdbpl_jax.paper.cell import check_prompts, open_cell
from fdbpl_jax.reports.results import CellResult
from fdbpl_jax.shapes import embedded
from fdbpl_jax.shapes.dataset import load_shapes
from fdbpl_jax.training.checkpoint import load_prompts


def cell(workdir, method="coop+fdbpl"):
    return workdir / "base2new" / "shapes-negative" / method / "seed1"


def test_texts_are_those_that_the_cell_was_scored_with(workdir):
    opened = open_cell(cell(workdir), "", str(workdir / "shapes"))
    clip, texts = opened.clip, prompt_texts(opened)
    assert list(texts) == ["hand-written", "positive", "negative", "difference"]
    base = subset(load_shapes("shapes-negative", workdir / "shapes"), "base")
    features = split_features(clip, base, base.test, workdir / "features")
    labels = np.array([example.label for example in base.test])
    found = accuracy(features, labels, texts["positive"])
    result = CellResult.from_json((cell(workdir) / "results.jsonl").read_text())
    assert found == pytest.approx(result.base)
    assert accuracy(features, labels, texts["negative"]) != pytest.approx(result.base)


def test_prompts_of_another_kind_or_student_are_refused(workdir):
    student, teacher = (load_clip(str(embedded(n))) for n in ("student", "teacher"))
    with pytest.raises(UserError, match="method 'coop' are not a positive and"):
        check_prompts(student, *load_prompts(cell(workdir, "coop") / "export"))
    with pytest.raises(UserError, match="is another student than the cell's"):
        check_prompts(teacher, *load_prompts(cell(workdir) / "export"))


def test_the_map_is_laid_where_it_is_hot():
    image = Image.fromarray(np.full((32, 32, 3), 100, np.uint8))
    heat = np.zeros((4, 4), np.float32)
    heat[1, 3] = 0.01  # each map by its own largest
    shown = np.asarray(overlaid(image, heat), np.float32)
    size = shown.shape[0]
    hot = shown[int(1.5 / 4 * size), int(3.5 / 4 * size)]
    cold = shown[int(3.5 / 4 * size), int(0.5 / 4 * size)]
    assert hot[0] > hot[2] + 100
    np.testing.assert_array_equal(cold, 100)
    empty = np.asarray(overlaid(image, np.zeros((4, 4), np.float32)))
    np.testing.assert_array_equal(empty, 100)


def test_the_grid_has_a_row_an_image():
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    maps = np.ones((3, 2, 4, 4), np.float32)
    sheet = picture(pixels, maps, ["a", "b", "c"], ["one", "two"])
    assert sheet.width > 4 * 176
    assert 2 * 176 < sheet.height < 3 * 176


def test_images_are_of_different_classes(workdir):
    base = subset(load_shapes("shapes-negative", workdir / "shapes"), "base")
    labels = [e.label for e in one_of_each(base, base.class_names, 5)]
    assert len(set(labels)) == len(labels) == 5


def test_the_command_draws_a_finished_cell(workdir):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "fdbpl_jax.paper", "attention", "--images=2"),
            *(f"--cell={cell(workdir)}", f"--data_root={workdir / 'shapes'}"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    with Image.open(cell(workdir) / "attention.png") as image:
        assert image.size[0] > 5 * 176
    lines = (cell(workdir) / "attention.csv").read_text().splitlines()
    assert lines[0] == "image,class"
    assert len(lines) == 3

"""What a run says beside its numbers is true of them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.cells import summarise
from support.protocol_runs import small

from fdbpl_jax.data.types import Dataset, Example
from fdbpl_jax.evaluation.test_set import HeldOut, TestSet
from fdbpl_jax.experiments import run as protocol
from fdbpl_jax.experiments.cautions import (
    after_training,
    before_training,
    training_text,
    updates_text,
)
from fdbpl_jax.experiments.cells import Cell
from fdbpl_jax.experiments.settings import run_config
from fdbpl_jax.experiments.shared_inputs import SharedInputs, TrainingAccuracy
from fdbpl_jax.experiments.sweep import settings_of
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.reports.facts import TestedPart
from fdbpl_jax.reports.results import CellResult
from fdbpl_jax.reports.write import read_report
from fdbpl_jax.shapes import embedded


def data_set(images: int, first: int = 0) -> Dataset:
    train = tuple(Example(f"{n}.png", n % 2) for n in range(first, first + images))
    return Dataset("pets", Path(), ("cat", "dog"), "a {}.", train, (), ())


def shared_inputs(
    config, draws: list[Dataset], tested: int, training: TrainingAccuracy | None = None
) -> SharedInputs:
    cells = tuple(
        Cell(
            *(METHODS[name], config.prompt_of(name), *settings_of(config, name)),
            seed=seed,
            dataset=draw,
            names=draw.class_names,
            directory=Path(),
        )
        for name in config.methods
        for seed, draw in enumerate(draws)
    )
    labels = np.arange(tested) % 2
    held = HeldOut(draws[0], (), np.zeros((tested, 1)), labels)
    return SharedInputs(
        dataset=draws[0],
        models=None,
        names=None,
        test_sets=(TestSet("pets", held, None),),
        teacher_sets=(),
        zero_shot=(),
        training=training,
        cells=cells,
        table=None,
        table_facts=None,
        feature_seconds=0.0,
    )


@pytest.fixture(name="config")
def _config():
    changes = {"methods": "coop", "optim.epochs": 10, "optim.batch_size": 8}
    return run_config(small("few_shot", **changes))


def test_an_ordinary_run_has_no_cautions(config):
    draws = [data_set(80), data_set(80, first=80)]
    known = TrainingAccuracy(teacher=90.0, student=60.0, images=80, classes=2)
    shared = shared_inputs(config, draws, 100, known)
    assert before_training(config, [shared]) == ()
    assert "right for 90.0 % with the teacher and 60.0 %" in training_text(shared)
    assert updates_text(config, shared.cells) == (
        "coop 100 (10 epochs × 10, batches of 8)"
    )


def test_few_updates_few_images_and_one_draw_for_all_seeds_are_said(config):
    shared = shared_inputs(config, [data_set(6), data_set(6)], 40)
    updates, images, draw = before_training(config, [shared])
    # An epoch of 6 images is one batch, smaller than asked for.
    assert "coop 10 (10 epochs × 1, batches of 8 cut to 6)" in updates
    assert "--config.optim_for.coop.epochs" in updates
    assert "only 40 test images of pets (all classes): one of them is 2.5" in images
    assert "all seeds train on the same images (coop)" in draw


def test_a_single_seed_shares_its_images_with_nobody(config):
    shared = shared_inputs(config, [data_set(80)], 100)
    assert before_training(config, [shared]) == ()


def test_a_doubt_about_several_data_sets_is_one_line(config):
    first = shared_inputs(config, [data_set(6)], 100)
    other = dataclasses.replace(first.dataset, name="cars")
    (line,) = before_training(config, [first, first._replace(dataset=other)])
    assert line.startswith("pets, cars: fewer than 100 updates")


def test_a_teacher_below_the_student_is_named(config):
    draws = [data_set(80)]
    worse = TrainingAccuracy(teacher=59.9, student=60.0, images=80, classes=2)
    (line,) = before_training(config, [shared_inputs(config, draws, 100, worse)])
    assert line.startswith("pets: the teacher knows the training images less well")
    equal = worse._replace(teacher=60.0)
    assert before_training(config, [shared_inputs(config, draws, 100, equal)]) == ()


def result(method: str, seed: int | None, base: float, **changes) -> CellResult:
    trained = 0 if seed is None else 256
    numbers = {"train_seconds": 0.0, "wait_seconds": 0.0}
    sizes = {"steps": 1, "trained_values": trained}
    new = changes.pop("new", None)
    return CellResult("pets", method, seed, base, new, **numbers, **sizes, **changes)


def after(cells: list[CellResult], images: int = 400) -> tuple[str, ...]:
    part = TestedPart("pets", "all", images, ("cat", "dog"))
    return after_training(summarise(cells), cells, [part])


def test_predictions_that_are_zero_shots_in_every_cell_are_said():
    zero = result("zero-shot", None, 60.0)
    same = [result("coop", seed, 60.0, changed=0) for seed in (1, 2)]
    (line,) = after([zero, *same])
    assert line.startswith("pets: predictions equal zero-shot's on every test image")
    # Equal accuracies are not equal predictions; an older cell does not say.
    for other in (2, None):
        assert after([zero, same[0], result("coop", 2, 60.0, changed=other)]) == ()


def test_below_zero_shot_by_more_than_the_standard_error_of_the_seeds():
    zero = result("zero-shot", None, 60.0)

    def of(*accuracies: float) -> tuple[str, ...]:
        cells = [
            result("coop", n, base, changed=9) for n, base in enumerate(accuracies)
        ]
        return after([zero, *cells])

    # Standard deviation 2, standard error 2 / sqrt(3) = 1.155.
    assert of(56.8, 58.8, 60.8) == (
        "pets: below zero-shot by more than the standard error: coop 58.8 against 60.0",
    )
    assert of(56.9, 58.9, 60.9) == ()
    assert of(61.0, 61.0, 61.0) == ()


def test_below_zero_shot_with_one_seed_counts_the_test_images():
    zero = result("zero-shot", None, 52.5)
    # Half of 400 images: standard error 2.5 points; of 100 images: 5.
    cell = result("coop", 1, 49.9, changed=9)
    assert len(after([zero, cell], images=400)) == 1
    assert after([zero, cell], images=100) == ()


def test_below_zero_shot_is_by_hm_where_there_are_new_classes():
    zero = result("zero-shot", None, 60.0, new=60.0)
    cells = [result("coop", n, 80.0, new=40.0, changed=9) for n in (1, 2)]
    (line,) = after([zero, *cells])
    assert line.endswith("coop 53.3 against 60.0")


def test_a_run_with_the_models_exchanged_says_so_everywhere(tmp_path, capsys):
    models = {"student": str(embedded("teacher")), "teacher": str(embedded("student"))}
    changes = {"methods": "coop+fdbpl", "seeds": (1,), "data.shots": 1, **models}
    config = run_config(small("base2new", **changes))
    protocol.run(config, tmp_path, "python -m x --config.data.root=/home/me/pictures")
    _, facts = read_report(tmp_path / "base2new")
    assert any("the teacher knows" in text for text in facts.cautions)
    assert any("fewer than 100 updates" in text for text in facts.cautions)
    assert [(part.part, part.images) for part in facts.tested] == [
        ("base", 960),
        ("new", 960),
    ]
    terminal = " ".join(capsys.readouterr().out.split())
    assert "shapes-negative, new classes: 960 test images of 16 classes" in terminal
    assert "Caution: shapes-negative: the teacher knows" in terminal
    for name in ("report.md", "report.html", "report.json"):
        text = (tmp_path / "base2new" / name).read_text()
        assert "the teacher knows" in text
        assert "green checked circle" in text
        assert ".../pictures" in text
        assert "/home/me" not in text
        assert str(embedded("teacher").parent) not in text

import pytest

from fdbpl_jax.clip import model
from fdbpl_jax.shapes import embedded, world
from tools.pair import zero_shot

PER_CLASS = 12


@pytest.fixture(scope="module")
def pair():
    return {
        name: model.load_clip(str(embedded(name))) for name in ("student", "teacher")
    }


def test_package_data_is_small():
    folder = embedded("student").parent
    assert sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) < 6e6


def test_the_pair_sees_the_same_size(pair):
    assert pair["student"].image.size == pair["teacher"].image.size


@pytest.mark.parametrize("task", world.TASKS)
def test_teacher_beats_student_and_neither_is_perfect(pair, task):
    template = world.task(task).template
    student = zero_shot.zero_shot(pair["student"], task, template, PER_CLASS, "val")
    teacher = zero_shot.zero_shot(pair["teacher"], task, template, PER_CLASS, "val")
    for half in (0, 1):
        assert 45 < student[half] < teacher[half] - 8
        assert 75 < teacher[half] < 97


@pytest.mark.parametrize("task", [t for t in world.TASKS if t != "shapes-plain"])
@pytest.mark.parametrize("name", ["student", "teacher"])
def test_the_wrong_context_is_worse(pair, name, task):
    template = world.task(task).template
    right = zero_shot.zero_shot(pair[name], task, template, PER_CLASS, "val")
    wrong = zero_shot.zero_shot(
        pair[name], task, zero_shot.WRONG_TEMPLATE, PER_CLASS, "val"
    )
    for half in (0, 1):
        assert wrong[half] < right[half] - 10

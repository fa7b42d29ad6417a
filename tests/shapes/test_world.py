import collections

import numpy as np
import pytest

from fdbpl_jax.errors import UserError
from fdbpl_jax.shapes import world

ATTRIBUTES = {"colour": world.COLOURS, "texture": world.TEXTURES, "shape": world.SHAPES}


def test_classes_are_distinct_and_enough():
    names = world.class_names()
    assert len(names) == len(set(names)) == 32


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_both_halves_hold_every_value(attribute):
    classes = world.classes()
    for half in (classes[:16], classes[16:]):
        counts = collections.Counter(getattr(look, attribute) for look in half)
        assert set(counts) == set(ATTRIBUTES[attribute])


def test_what_a_condition_shows():
    look = world.Look("red", "level striped", "circle")
    shown = {
        world.Condition(): "red level striped circle",
        world.Condition(negative=True): "cyan level striped circle",
        world.Condition(infrared=True): "blue level striped circle",
        world.Condition(negative=True, infrared=True): "yellow level striped circle",
    }
    assert {c: c.look(look).name for c in shown} == shown


@pytest.mark.parametrize("condition", ["negative", "infrared"])
def test_pixels_change_as_the_look_does(condition):
    """A red patch, striped level: what is seen agrees with `look`."""
    condition = world.Condition(**{condition: True})
    image = np.zeros((8, 8, 3), np.uint8)
    image[::2] = [255 * bit for bit in world.COLOURS["red"]]
    image[1::2] = 128
    seen = condition.pixels(image)
    look = condition.look(world.Look("red", "level striped", "circle"))
    assert (seen == seen[:, :1]).all()
    colour = [255 * bit for bit in world.COLOURS[look.colour]]
    assert (seen == colour).all(-1).any()


def test_a_condition_undoes_itself():
    for task in world.TASKS.values():
        for look in world.looks():
            assert task.condition.look(task.condition.look(look)) == look


def test_unknown_task_names_the_nearest():
    with pytest.raises(UserError, match=r"shapes-negatve.*Did you mean 'shapes-neg"):
        world.task("shapes-negatve")

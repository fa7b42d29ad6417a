import hashlib

import numpy as np

from fdbpl_jax.shapes import render, world

LOOK = world.Look("red", "dotted", "circle")


def digest(image) -> str:
    return hashlib.sha256(np.asarray(image).tobytes()).hexdigest()


def test_pixels_are_those_they_were():
    picture = render.render("shapes-plain", LOOK, 3, "test")
    assert picture.size == (world.IMAGE_SIZE, world.IMAGE_SIZE)
    assert digest(picture)[:16] == "7bb771190aa10f77"


def test_every_part_of_the_key_matters():
    keys = [
        ("shapes-plain", LOOK, 0, "test"),
        ("shapes-plain", LOOK, 0, "train"),
        ("shapes-plain", LOOK, 1, "test"),
        ("shapes-negative", LOOK, 0, "test"),
        ("shapes-plain", world.Look("red", "dotted", "square"), 0, "test"),
    ]
    assert len({digest(render.render(*key)) for key in keys}) == len(keys)
    assert digest(render.render(*keys[0])) == digest(render.render(*keys[0]))


def test_the_object_tells_its_colour():
    """Averaged over pictures, clutter fades and the object's colour is left."""
    for name, bits in world.COLOURS.items():
        look = world.Look(name, "solid", "square")
        scenes = [render.draw_scene(look, render.generator(name, i)) for i in range(60)]
        middle = np.mean([s[16:32, 16:32] for s in scenes], axis=(0, 1, 2))
        assert ((middle > middle.mean()) == np.array(bits, bool)).all(), name


def test_an_empty_scene_holds_no_object():
    look = world.Look("red", "solid", "square")
    full = render.draw_scene(look, render.generator("same")).astype(int)
    empty = render.draw_scene(None, render.generator("same")).astype(int)
    assert np.abs(full - empty).max() > 60

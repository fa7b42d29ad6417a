import dataclasses
import io
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image, ImageOps

from fdbpl_jax.errors import UserError
from fdbpl_jax.plots import png
from fdbpl_jax.ril import manifest
from fdbpl_jax.ril.inspect import picture, sample
from fdbpl_jax.ril.inspect.picture import SIZE, draw_table
from fdbpl_jax.ril.table import open_table

LONG = (
    "2012 Mercedes-Benz S-Class Sedan with_a_very long name that goes on",
    "Supercalifragilisticexpialidocious" * 3,
    r"a $\no$ formula",
)


@pytest.fixture
def texts(monkeypatch):
    """Gives every text that a figure draws, and the pixels that each covers."""
    drawn = []
    draw = Text.draw

    def noted(self, renderer):
        draw(self, renderer)
        if self.get_visible() and self.get_text():
            drawn.append((self.get_text(), self.get_window_extent(renderer)))

    monkeypatch.setattr(Text, "draw", noted)

    def of(figure):
        drawn.clear()
        figure.draw_without_rendering()
        return list(drawn)

    return of


@pytest.fixture
def written(table, dataset):
    """What is written on the picture of the whole table."""
    figure = draw_table(table, dataset, "")
    return [text.get_text() for text in figure.findobj(Text)]


def test_a_picture_is_a_png_of_its_size(table, dataset):
    with Image.open(io.BytesIO(png(draw_table(table, dataset, "")))) as image:
        assert (image.format, image.size) == ("PNG", SIZE)


def test_the_numbers_are_on_the_picture(table, written, spec):
    found = sample.sample_regions(table)
    mean = f"w of 240 regions, mean {found.weight.mean():.3f}"
    assert f"information {mean.replace('w', 'weight w', 1)}" in written
    names = [image.path.split("/")[0] for image in spec.images]
    label = np.array([spec.class_names.index(name) for name in names])
    agree = (found.label_index[..., 0] == label[:, None]).mean()
    assert (
        f"the teacher's first label is the image's class in {agree:.1%} of regions"
        in (written)
    )


def test_the_regions_with_most_and_least_weight_are_shown(table, written):
    found = sample.sample_regions(table)
    shown = [re.match(r"(\w+)\nw ([\d.]+)(, mirrored)?$", text) for text in written]
    shown = [(m[1], m[2], bool(m[3])) for m in shown if m]
    wanted = []
    for weight in (-found.weight, found.weight):
        for row in np.argsort(weight.min(axis=1), kind="stable")[:5]:
            slot = weight[row].argmin()
            name = table.spec.images[row].path.split("/")[0]
            value = f"{found.weight[row, slot]:.3f}"
            wanted.append((name, value, bool(found.flip[row, slot])))
    assert shown == wanted


def test_boxes_are_where_the_regions_are(table, dataset):
    axes = Figure().subplots()
    picture._draw_image(axes, table, dataset.root, 11)
    found = sample.read_regions(table, np.array([11]), np.arange(6))
    wanted = set()
    for (top, left, height, width), w in zip(
        found.box[0].astype(float), found.weight[0], strict=True
    ):
        colour = tuple(float(c) for c in picture._COLOURS(w))
        wanted.add((left - 0.5, top - 0.5, width, height, colour))
    boxes = [(*p.get_xy(), p.get_width(), p.get_height()) for p in axes.patches]
    colours = [tuple(map(float, p.get_edgecolor())) for p in axes.patches]
    assert {(*b, c) for b, c in zip(boxes, colours, strict=True)} == wanted
    areas = [width * height for *_, width, height in boxes]
    assert areas == sorted(areas, reverse=True)  # small ones are not hidden
    assert axes.images[0].get_size() == table.spec.images[11].size


def test_the_image_that_is_asked_for_is_drawn(table, dataset, texts):
    path = table.spec.images[31].path
    found = [text for text, _ in texts(draw_table(table, dataset, path))]
    assert f"{path}: 6 of its regions" in found


def test_an_image_that_is_not_in_the_table_is_refused(table, dataset):
    with pytest.raises(UserError, match=r"image of the table 'emu/022\.jpg'") as no:
        draw_table(table, dataset, "emu/022.jpg")
    assert "Did you mean 'emu/022.png'?" in no.value.do


@pytest.mark.parametrize("place", ["boxes", "tile"])
def test_a_changed_image_is_never_drawn(tmp_path, table, dataset, place):
    root = shutil.copytree(dataset.root, tmp_path / "pictures")
    changed = dataclasses.replace(dataset, root=root)
    found = sample.sample_regions(table)
    tiles = {row for part in sample.extremes(found.weight, 5) for row, _ in part}
    other = next(row for row in range(40) if row not in tiles)
    broken = other if place == "boxes" else max(tiles)
    file = root / table.spec.images[broken].path
    with Image.open(file) as image:
        ImageOps.mirror(image).save(file)
    path = table.spec.images[other].path
    with pytest.raises(UserError, match="not the one that the table was made") as no:
        draw_table(table, changed, path)
    assert str(file) in no.value.what


@pytest.mark.parametrize("names", ["short", "long"])
def test_no_text_lies_on_another_or_beyond_the_edge(table, dataset, texts, names):
    if names == "long":
        classes = tuple(f"{LONG[i % 3]} {i}" for i in range(6))
        spec = dataclasses.replace(
            table.spec, class_names=classes, template=r"a $\no$ photo of {}, " * 9
        )
        table = dataclasses.replace(table, spec=spec)
        dataset = dataclasses.replace(dataset, class_names=classes)
    found = texts(draw_table(table, dataset, ""))
    assert len(found) > 100
    for place, (one, box) in enumerate(found):
        assert 0 <= box.x0 < box.x1 <= SIZE[0], one
        assert 0 <= box.y0 < box.y1 <= SIZE[1], one
        for other, beside in found[:place]:
            assert not box.overlaps(beside), (one, other)


def test_a_file_name_that_is_no_unicode_is_drawn_with_a_question_mark():
    assert picture._tail("caf\udce9/1.jpg", 36) == "caf?/1.jpg"
    assert picture._tail("0123456789/1.jpg", 8) == "…9/1.jpg"


def test_a_picture_from_the_command_line(copy, dataset, tmp_path):
    table = open_table(copy, "")
    # So that the command finds the data set: these are folders of classes.
    spec = dataclasses.replace(table.spec, dataset="folder")
    manifest.write_manifest(table.folder, manifest.Manifest(spec))
    file = tmp_path / "new" / "table.png"
    command = [sys.executable, "-m", "fdbpl_jax.ril", "show", str(copy)]
    command += [f"--picture={file}", f"--data_root={dataset.root}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    with Image.open(file) as image:
        assert (image.format, image.size) == ("PNG", SIZE)
    refused = subprocess.run(
        [*command, "--image=ant/1.jpg"], capture_output=True, text=True
    )
    assert refused.returncode == 2
    assert "error: unknown image of the table 'ant/1.jpg'" in refused.stderr

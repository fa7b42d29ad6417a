"""A user's own data in a run: their names, template, broken images, too few classes."""

import json
from pathlib import Path

import pytest
from PIL import Image
from support.protocol_runs import small

from fdbpl_jax.data.types import Dataset
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments import run as runner
from fdbpl_jax.experiments.cells import load_inputs
from fdbpl_jax.experiments.protocols import refuse_few_classes
from fdbpl_jax.experiments.run import run
from fdbpl_jax.experiments.settings import run_config

ROW = "zero-shot (data-set template)"


@pytest.fixture(scope="module", name="root")
def _root(tmp_path_factory):
    """A folder and a list of four classes with four images each; one is broken."""
    root = tmp_path_factory.mktemp("own")
    lines = ["path,label"]
    for label, name in enumerate(("cat", "dog", "bird", "fish")):
        (root / "animals" / name).mkdir(parents=True)
        for number in range(4):
            shade = (50 * label + number, 60 * number, 200 - 40 * label)
            path = f"{name}/{number}.png"
            Image.new("RGB", (40, 30), shade).save(root / "animals" / path)
            lines.append(f"animals/{path},{name}")
    (root / "animals" / "cat" / "0.png").write_text("broken")
    (root / "half.csv").write_text("\n".join(lines[:1] + lines[5:]))
    return root


def open_datasets(config, workdir):
    return runner.open_datasets(config, load_inputs(config), workdir)


def config_of(root, datasets, **changes):
    changes = {"data.root": str(root), "data.datasets": datasets, **changes}
    return run_config(small("few_shot", seeds=(1,), **changes))


def test_several_own_data_sets_run_at_once_under_their_names(root, tmp_path):
    skip = {"data.skip_broken_images": True}
    asked = config_of(root, "animals,half.csv", **skip)
    rows = run(asked, tmp_path, "the test")
    names = [(row.dataset, row.method) for row in rows]
    methods = ["zero-shot", "teacher", "coop"]  # none for the same text
    assert names == [(d, m) for d in ("animals", "half", "average") for m in methods]
    report = (tmp_path / "few_shot" / "report.md").read_text()
    assert "Left out of animals as unreadable: 1 images: cat/0.png." in report
    assert "Left out of half" not in report
    cell = tmp_path / "few_shot" / "animals" / "coop" / "seed1"
    settings = json.loads((cell / "config.json").read_text())
    assert settings["left_out"] == {"animals": ["cat/0.png"]}
    other = tmp_path / "few_shot" / "half" / "coop" / "seed1" / "config.json"
    assert "left_out" not in json.loads(other.read_text())
    # Whole again, it is another cell; broken, the run refuses it by name.
    file = root / "animals" / "cat" / "0.png"
    with pytest.raises(UserError, match=r"animals.*cat/0.png' cannot be read"):
        run(config_of(root, "animals"), tmp_path / "all", "the test")
    broken = file.read_bytes()
    Image.new("RGB", (40, 30)).save(file)
    with pytest.raises(UserError, match=r"left_out = .*cat/0.png.*, this run has None"):
        run(asked, tmp_path, "the test")
    file.write_bytes(broken)


def test_a_template_of_own_data_is_used_recorded_and_has_a_row(root, tmp_path):
    asked = config_of(root, "half.csv", **{"data.template": "a drawing of a {}."})
    rows = run(asked, tmp_path, "the test")
    assert [row.method for row in rows] == ["zero-shot", ROW, "teacher", "coop"]
    cell = tmp_path / "few_shot" / "half" / "coop" / "seed1"
    settings = json.loads((cell / "config.json").read_text())
    assert settings["template"] == "a drawing of a {}."


@pytest.mark.parametrize(
    "template", ["a photo", "{} and {}", "a {0}.", "{", "a {}\n", "a {}{", "a {name}"]
)
def test_templates_without_one_place_for_the_class_are_refused(root, template):
    with pytest.raises(UserError, match=r"data.template is .*one \{\}"):
        config_of(root, "animals", **{"data.template": template})


def test_a_template_is_for_own_data_alone(root, tmp_path):
    template = {"data.template": "a drawing of a {}."}
    both, _ = open_datasets(
        config_of(root, "animals,shapes-plain", **template), tmp_path
    )
    assert both[0].template == "a drawing of a {}."
    assert both[1].template != "a drawing of a {}."
    with pytest.raises(UserError, match="shapes-plain come with their own"):
        open_datasets(config_of(root, "shapes-plain", **template), tmp_path)


def test_two_data_sets_of_one_name_are_refused(root, tmp_path):
    asked = config_of(root, f"animals,{root}/animals")
    with pytest.raises(UserError, match="several data sets are called 'animals'"):
        open_datasets(asked, tmp_path)


def test_paths_need_no_root_and_names_do(root, tmp_path):
    (data,), _ = open_datasets(config_of("", f"{root}/animals"), tmp_path)
    assert (data.name, data.root) == ("animals", root / "animals")
    with pytest.raises(UserError, match=r"'animals' needs --config.data.root"):
        open_datasets(config_of("", "animals"), tmp_path)


@pytest.mark.parametrize(
    ("protocol", "classes", "refused"),
    [
        *(("base2new", classes, classes < 4) for classes in range(1, 6)),
        *(("few_shot", classes, classes < 2) for classes in range(1, 4)),
        *(("cross_dataset", classes, classes < 2) for classes in range(1, 4)),
        *(("domain_generalization", classes, classes < 2) for classes in range(1, 4)),
    ],
)
def test_too_few_classes_are_refused_and_what_fits_is_named(protocol, classes, refused):
    names = tuple(f"c{label}" for label in range(classes))
    data = Dataset("mine", Path("x"), names, "a {}.", (), (), ())
    if not refused:
        refuse_few_classes(protocol, data)
        return
    needs = f"{protocol} needs [24] classes; data set 'mine' has {classes}"
    with pytest.raises(UserError, match=needs) as caught:
        refuse_few_classes(protocol, data)
    assert ("few_shot" in caught.value.do) == (classes > 1)


def test_classes_are_counted_before_any_compute(root, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "two").mkdir(exist_ok=True)
        (tmp_path / "two" / name).symlink_to(root / "animals" / name)
    asked = run_config(
        small("base2new", **{"data.root": str(tmp_path), "data.datasets": "two"})
    )
    with pytest.raises(UserError, match="base2new needs 4 classes"):
        open_datasets(asked, tmp_path / "work")

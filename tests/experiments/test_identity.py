"""A cell is told from others by every setting that decides its numbers."""

import dataclasses
import functools
from types import SimpleNamespace

import pytest
from support.protocol_runs import small

from fdbpl_jax.clip.model import cast
from fdbpl_jax.data.source_images import SourceImages
from fdbpl_jax.errors import UserError
from fdbpl_jax.evaluation.test_set import HeldOut, TestSet
from fdbpl_jax.experiments.cells import load_inputs, plan_cells
from fdbpl_jax.experiments.identity import cell_settings, claim
from fdbpl_jax.experiments.ril_table import table_images, table_spec
from fdbpl_jax.experiments.settings import run_config
from fdbpl_jax.experiments.shared_inputs import (
    SharedInputs,
    dataset_of,
    evaluated_parts,
)
from fdbpl_jax.learners.learner import Models

SETTINGS = {"seed": 1, "optim": {"lr": 0.1, "epochs": 5}, "names": ("a", "b")}


def test_the_same_settings_are_let_in_again(tmp_path):
    claim(tmp_path / "cell", SETTINGS)
    claim(tmp_path / "cell", SETTINGS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optim": {"lr": 0.2, "epochs": 5}}, r"optim.lr = 0.1, this run has 0.2"),
        ({"names": ("b", "a")}, r"names = \['a', 'b'\], this run has \['b', 'a'\]"),
        ({"teacher": "x"}, r"teacher = None, this run has 'x'"),
    ],
)
def test_other_settings_are_refused_by_name_and_value(tmp_path, change, message):
    claim(tmp_path, SETTINGS)
    with pytest.raises(UserError, match=message):
        claim(tmp_path, SETTINGS | change)


def test_a_broken_record_of_an_unfinished_cell_is_written_again(tmp_path):
    (tmp_path / "config.json").write_text("{")
    claim(tmp_path, SETTINGS)
    with pytest.raises(UserError, match=r"optim.lr = 0.1, this run has 0.2"):
        claim(tmp_path, SETTINGS | {"optim": {"lr": 0.2, "epochs": 5}})


def test_what_earlier_versions_did_not_record_is_compared_where_it_is(tmp_path):
    claim(tmp_path / "old", SETTINGS)
    claim(tmp_path / "old", SETTINGS | {"template": "a {}."})
    claim(tmp_path / "new", SETTINGS | {"template": "a {}."})
    with pytest.raises(UserError, match=r"template = 'a \{\}.', this run has 'the"):
        claim(tmp_path / "new", SETTINGS | {"template": "the {}."})


def test_the_batch_of_a_table_is_compared_where_it_was_recorded(tmp_path):
    made = {"dtype": "float32"}
    claim(tmp_path / "old", SETTINGS | {"table_made": made})
    claim(tmp_path / "old", SETTINGS | {"table_made": made | {"batch": 64}})
    claim(tmp_path / "new", SETTINGS | {"table_made": made | {"batch": 128}})
    with pytest.raises(UserError, match=r"table_made.batch = 128, this run has 64"):
        claim(tmp_path / "new", SETTINGS | {"table_made": made | {"batch": 64}})


@pytest.fixture(scope="module", name="workdir")
def _workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("identity")
    (workdir / "names.txt").write_text("a cat\na dog\na bird\n")
    (workdir / "other.txt").write_text("a cat\na dog\na fish\n")
    return workdir


_LOADED = {}  # by names file: one pair of models for all cases


def loaded(config):
    file = config.names.file
    if file not in _LOADED:
        _LOADED[file] = load_inputs(config)
    return _LOADED[file]


@functools.cache
def unchanged(workdir, method):
    return identity(workdir, method)


def identity(workdir, method, change_data=None, change_models=None, **changes):
    """Folder and settings of the one cell that a config plans."""
    settings = {"methods": method, "seeds": (1,), "data.shots": 2}
    if method.endswith("-ca"):
        settings["names.file"] = str(workdir / "names.txt")
    protocol = changes.pop("protocol", "base2new")
    config = run_config(small(protocol, **(settings | changes)))
    inputs = loaded(config)
    if change_models:
        inputs = inputs._replace(models=change_models(inputs.models))
    dataset = dataset_of(config, config.data.datasets[0], workdir)
    if change_data:
        dataset = change_data(dataset)
    cells = plan_cells(config, dataset, inputs, workdir)
    images, table = table_images(cells), None
    if images is not None:
        source = SourceImages(images.root)
        table = SimpleNamespace(spec=table_spec(config, images, inputs.models, source))
    targets = [dataset_of(config, name, workdir) for name in config.data.targets]
    parts = evaluated_parts(config, dataset, targets)
    held = (HeldOut(part, (), None, None) for part in parts)
    sets = tuple(TestSet(part.dataset.name, part, None) for part in held)
    shared = SharedInputs(
        *(dataset, inputs.models, inputs.names, sets, sets, (), None),
        *(cells, table, None, 0.0),
    )
    return cells[0].directory, cell_settings(config, shared, cells[0])


def other_template(dataset):
    return dataclasses.replace(dataset, template="a drawing of a {}.")


def other_names(dataset):
    first, second, *rest = dataset.class_names
    return dataclasses.replace(dataset, class_names=(second, first, *rest))


def other_student(models):
    student = dataclasses.replace(models.student, fingerprint="0" * 64)
    return models._replace(student=student)


def other_teacher(models):
    teacher = dataclasses.replace(models.teacher, fingerprint="0" * 64)
    return models._replace(teacher=teacher)


def bfloat16(models):
    return Models(*(cast(clip, "bfloat16") for clip in models))


TABLE, VIEWS, ANY = "coop+fdbpl", "coop+kdpl", "coop"
OPTIM = {
    "epochs": 3,
    "batch_size": 7,
    "lr": 0.03,
    "momentum": 0.5,
    "weight_decay": 0.1,
    "warmup_epochs": 1,
    "warmup_lr": 0.5,
}
FDBPL = ("lambda_neg", "lambda_diff1", "lambda_diff2", "alpha", "delta")
TERMS = {
    "kgcoop": "kgcoop",
    "prograd": "prograd",
    "promptkd": "promptkd",
    "promptsrc_text": "promptsrc",
    "promptsrc_image": "promptsrc",
    "promptsrc_mean": "promptsrc",
    "promptsrc_std": "promptsrc",
}
CHANGES = [
    *((ANY, {f"optim.{name}": value}) for name, value in OPTIM.items()),
    *((TABLE, {f"fdbpl.{name}": 0.77}) for name in FDBPL),
    *((method, {f"terms.{name}": 0.77}) for name, method in TERMS.items()),
    (TABLE, {"fdbpl.weight_from": "sparse"}),
    *((method, {"data.shots": 3}) for method in (ANY, VIEWS, TABLE)),
    *((method, {"eval_split": "val"}) for method in (ANY, VIEWS)),
    *((method, {"seeds": (2,)}) for method in (ANY, VIEWS)),
    *((method, {"protocol": "few_shot"}) for method in (ANY, VIEWS, "promptkd")),
    (ANY, {"protocol": "cross_dataset", "data.targets": "shapes-both"}),
    *((m, {"ril.crop.scale": (0.2, 0.9)}) for m in (ANY, VIEWS, TABLE)),
    *((m, {"ril.crop.ratio": (0.5, 2.0)}) for m in (VIEWS, TABLE)),
    *((m, {"ril.crop.flip": 0.25}) for m in (VIEWS, TABLE)),
    *((TABLE, {f"ril.{n}": v}) for n, v in [("keep", 3), ("seed", 5), ("regions", 4)]),
    *((TABLE, {f"ril.{n}": v}) for n, v in [("label", "ms"), ("access", "random")]),
    (TABLE, {"ril.regions_per_epoch": 2}),
    (ANY, {"prompt.context_length": 5}),
    *((ANY, {f"prompt.{n}": v}) for n, v in [("init", "the"), ("position", "front")]),
    (TABLE, {"prompt.negative_init": "no photo of a"}),
    (ANY, {"prompt.class_specific": True}),
    ("maple", {"prompt.text_depth": 2}),
    ("vpt", {"prompt.image_tokens": 2}),
    ("vpt", {"prompt.image_depth": 2}),
    ("coop+kdpl-ca", {"names.keep": 2}),
    *((m, {"change_data": other_names}) for m in (ANY, VIEWS)),
    *((m, {"change_data": other_template}) for m in (VIEWS, TABLE, "kgcoop+kdpl")),
    ("promptkd", {"change_data": other_template}),
    *((m, {"change_models": other_student}) for m in (ANY, VIEWS)),
    *((m, {"change_models": other_teacher}) for m in (VIEWS, TABLE, "promptkd")),
    *((m, {"change_models": bfloat16}) for m in (ANY, VIEWS)),
]


@pytest.mark.parametrize(
    ("method", "change"), CHANGES, ids=[f"{m} {'+'.join(c)}" for m, c in CHANGES]
)
def test_every_setting_that_decides_numbers_makes_another_cell(workdir, method, change):
    assert identity(workdir, method, **change) != unchanged(workdir, method)


def test_another_content_of_the_names_file_makes_another_cell(workdir):
    other = {"names.file": str(workdir / "other.txt")}
    method = "coop+kdpl-ca"
    assert identity(workdir, method, **other) != unchanged(workdir, method)


def test_what_decides_no_number_leaves_the_cell_as_it_is(workdir):
    for change in ({}, {"tensorboard": True}, {"checkpoint_epochs": 3}):
        assert identity(workdir, ANY, **change) == unchanged(workdir, ANY)

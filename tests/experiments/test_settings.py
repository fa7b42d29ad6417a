import dataclasses

import pytest

from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.settings import default_config, run_config
from fdbpl_jax.methods.table import METHODS


def test_defaults_give_each_method_its_published_settings():
    run = run_config(default_config())
    assert run.methods == ("coop", "coop+kdpl", "coop+fdbpl")
    for method in run.methods:
        assert run.optim_of(method) == METHODS[method].optim
    fdbpl = run.optim_of("coop+fdbpl")
    assert (fdbpl.lr, fdbpl.batch_size, fdbpl.epochs) == (0.1, 128, 50)
    assert run.ril.crop.scale == (0.08, 0.936)


def test_a_setting_of_one_method_goes_over_one_of_all():
    config = default_config()
    config.optim_for.coop.lr = 0.3
    config.optim_for.coop.epochs = 7
    config.optim.lr = 0.5
    config.prompt.position = "front"
    config.prompt_for.coop.position = "middle"
    run = run_config(config)
    assert run.optim_of("coop").lr == 0.3
    assert run.optim_of("coop").epochs == 7
    assert run.optim_of("coop+kdpl").lr == 0.5
    assert run.optim_of("coop+kdpl").epochs == 50
    assert run.prompt_of("coop").position == "middle"
    assert run.prompt_of("coop+kdpl").position == "front"


def test_what_a_config_file_has_tuned_gives_way_to_both():
    config = default_config()
    config.tuned.coop.lr = 0.02
    config.tuned.coop.batch_size = 8
    config.tuned.maple.lr = 0.01  # of no consequence: it does not run
    assert run_config(config).optim_of("coop").lr == 0.02
    config.optim.lr = 0.05
    run = run_config(config)
    assert (run.optim_of("coop").lr, run.optim_of("coop").batch_size) == (0.05, 8)
    config.optim_for.coop.lr = 0.3
    assert run_config(config).optim_of("coop").lr == 0.3


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [("optim_for", "lr", 0.1), ("prompt_for", "text_depth", 3)],
)
def test_a_setting_for_a_method_that_does_not_run_is_refused(section, name, value):
    config = default_config()
    config[section].maple[name] = value
    with pytest.raises(UserError, match=rf"{section}.maple.{name} is set.*coop\+kdpl"):
        run_config(config)
    config.methods = "maple"
    run_config(config)


def test_a_home_folder_may_be_written_as_one(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    config = default_config()
    places = ("student", "teacher", "data.root", "ril.path", "names.file")
    config.update_from_flattened_dict(dict.fromkeys(places, "~/x"))
    run = run_config(config)
    paths = run.student, run.teacher, run.data.root, run.ril.path, run.names.file
    assert set(paths) == {"/home/me/x"}


def test_what_is_wrong_with_a_method_s_setting_is_said_with_its_name():
    config = default_config()
    config.optim_for.coop.lr = -1.0
    with pytest.raises(UserError, match=r"config optim of coop: lr is -1.0. Expected"):
        run_config(config)


def test_a_method_named_twice_is_refused():
    config = default_config()
    config.methods = "coop, coop+kdpl,coop"
    with pytest.raises(UserError, match=r"'coop' is named twice"):
        run_config(config)


def test_names_are_split_at_commas():
    config = default_config()
    config.methods = " coop+fdbpl , coop"
    config.data.datasets = "dtd,eurosat"
    run = run_config(config)
    assert run.methods == ("coop+fdbpl", "coop")
    assert run.data.datasets == ("dtd", "eurosat")
    assert [name for name, _ in run.optim] == list(run.methods)
    hash(dataclasses.replace(run))  # settings can be static arguments of jit


def test_unknown_method_names_the_nearest():
    config = default_config()
    config.methods = "coop+fdbp"
    with pytest.raises(UserError, match=r"'coop\+fdbp'.*Did you mean 'coop\+fdbpl'"):
        run_config(config)


def test_unknown_key_names_the_nearest():
    config = default_config()
    config.unlock()
    config.ril.keeep = 3
    with pytest.raises(UserError, match=r"config.ril: .keeep.*Did you mean .keep."):
        run_config(config)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("methods", ""),
        ("seeds", ()),
        ("seeds", (1, 1)),
        ("data.shots", 0),
        ("data.datasets", ""),
        ("prompt.position", "start"),
        ("prompt.context_length", 0),
        ("prompt.text_depth", 2),
        ("prompt.image_tokens", 1),
        ("names.keep", 1),
        ("ril.label", "md"),
        ("ril.access", "chunk"),
        ("ril.keep", -1),
        ("ril.keep", 10**30),
        ("seeds", (1, 2**31)),
        ("sweep.lambda_neg", (0.1, float("nan"))),
        ("fdbpl.delta", float("inf")),
        ("optim.momentum", 1.5),
        ("ril.crop.ratio", (0.0, 1.0)),
        ("ril.regions_per_epoch", 0),
        ("ril.crop.scale", (0.9, 0.1)),
        ("ril.crop.flip", 1.5),
        ("optim.epochs", 0),
        ("optim.lr", -0.1),
        ("optim.lr", float("nan")),
        ("fdbpl.weight_from", "labels"),
        ("eval_split", "train"),
        ("platform", "cuda"),
        ("checkpoint_epochs", 0),
    ],
)
def test_values_out_of_range_are_refused_by_name(where, value):
    config = default_config()
    config.update_from_flattened_dict({where: value})
    with pytest.raises(UserError, match=where.split(".")[-1]):
        run_config(config)

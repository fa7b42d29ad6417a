import dataclasses

import pytest

from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.settings import default_config, run_config
from fdbpl_jax.methods.published import METHOD_OPTIM


def test_defaults_give_each_method_its_published_settings():
    run = run_config(default_config())
    assert run.methods == ("coop", "coop+kdpl", "coop+fdbpl")
    for method in run.methods:
        assert run.optim_of(method) == METHOD_OPTIM[method]
    fdbpl = run.optim_of("coop+fdbpl")
    assert (fdbpl.lr, fdbpl.batch_size, fdbpl.epochs) == (0.1, 128, 50)
    assert run.ril.crop.scale == (0.08, 0.936)


def test_common_settings_win_over_a_methods_own():
    config = default_config()
    config.optim_for.coop.lr = 0.3
    config.optim_for.coop.epochs = 7
    config.optim.lr = 0.5
    run = run_config(config)
    assert run.optim_of("coop").lr == 0.5
    assert run.optim_of("coop").epochs == 7
    assert run.optim_of("coop+kdpl").lr == 0.5
    assert run.optim_of("coop+kdpl").epochs == 50


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

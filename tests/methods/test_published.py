"""Settings that a protocol changes, as their authors' configurations have them."""

import dataclasses
import subprocess
import sys

import pytest

from fdbpl_jax.config import TermConfig
from fdbpl_jax.experiments.protocols import PROTOCOLS
from fdbpl_jax.experiments.settings import default_config, run_config
from fdbpl_jax.methods import published
from fdbpl_jax.methods.table import METHODS

TRANSFER = "cross_dataset", "domain_generalization"
AVERAGES = {
    ("base2new", "dtd"): (15, 1),
    ("cross_dataset", "imagenet"): (6, 10),
    ("domain_generalization", "imagenet"): (6, 10),
    ("few_shot", "imagenet"): (30, 30),
    ("few_shot", "caltech101"): (30, 30),
    ("few_shot", "shapes-plain"): (30, 30),
    **{
        ("few_shot", name): (45, 5)
        for name in (
            *("stanford_cars", "oxford_flowers", "fgvc_aircraft", "dtd", "eurosat"),
        )
    },
}


def settings(method, protocol, **changes):
    config = default_config()
    config.methods, config.protocol = method, protocol
    if PROTOCOLS[protocol].transfers:
        config.data.targets = "shapes-plain"
    config.update_from_flattened_dict(changes)
    run = run_config(config)
    optim, prompt = run.optim_of(method), run.prompt_of(method)
    depths = prompt.text_depth, prompt.image_depth
    return optim.epochs, optim.lr, optim.batch_size, depths


@pytest.mark.parametrize(
    ("method", "protocols", "expected"),
    [
        ("promptsrc", ("base2new",), (20, 0.0025, 4, (9, 9))),
        ("promptsrc", TRANSFER, (20, 0.0025, 4, (3, 3))),
        ("promptsrc+kdpl", TRANSFER, (20, 0.0025, 4, (3, 3))),
        ("promptsrc+fdbpl", TRANSFER, (20, 0.0025, 4, (3, 3))),
        ("promptsrc", ("few_shot",), (50, 0.0025, 4, (9, 9))),
        ("promptkd", ("base2new", "few_shot"), (20, 0.005, 8, (1, 9))),
        ("promptkd", TRANSFER, (20, 0.005, 8, (1, 3))),
        ("promptkd-inductive", TRANSFER, (20, 0.005, 8, (1, 3))),
        ("maple", ("base2new", "few_shot"), (5, 0.0035, 4, (9, 1))),
        ("maple", TRANSFER, (2, 0.0026, 4, (3, 1))),
        ("maple+fdbpl", TRANSFER, (2, 0.0026, 4, (3, 1))),
        ("maple+kdpl", TRANSFER, (5, 0.0035, 4, (9, 1))),  # KDPL's are the same in all
        ("vpt", TRANSFER, (5, 0.0025, 4, (1, 12))),
        ("coop", (*TRANSFER, "few_shot"), (50, 0.002, 32, (1, 1))),
    ],
)
def test_settings_are_those_published_for_the_protocol(method, protocols, expected):
    for protocol in protocols:
        assert settings(method, protocol) == expected


def test_what_is_set_goes_over_what_a_protocol_changes():
    actual = settings(
        "maple",
        "cross_dataset",
        **{"optim.epochs": 7, "prompt_for.maple.text_depth": 5},
    )
    assert actual == (7, 0.0026, 4, (5, 1))


@pytest.mark.parametrize(("place", "expected"), AVERAGES.items())
def test_promptsrcs_average_is_that_of_protocol_and_data_set(place, expected):
    terms = published.published_terms(TermConfig(kgcoop=3.0), *place)
    assert (terms.promptsrc_mean, terms.promptsrc_std) == expected
    assert terms.kgcoop == 3.0
    chosen = TermConfig(promptsrc_mean=2.0)
    terms = published.published_terms(chosen, *place)
    assert (terms.promptsrc_mean, terms.promptsrc_std) == (2.0, expected[1])


def test_every_protocol_has_its_settings_and_every_change_a_source():
    assert tuple(PROTOCOLS) == published.PROTOCOLS
    for protocol in PROTOCOLS:
        for method in METHODS.values():
            there = method.in_protocol(protocol)
            same = there.optim == method.optim and there.prompt == method.prompt
            assert (there.source == method.source) == same
            assert (
                dataclasses.replace(
                    there,
                    optim=method.optim,
                    prompt=method.prompt,
                    source=method.source,
                )
                == method
            )


def test_the_command_lists_the_settings_of_a_protocol():
    command = [sys.executable, "-m", "fdbpl_jax.methods", "--for=maple"]
    done = subprocess.run(
        [*command, "--protocol=cross_dataset"], capture_output=True, text=True
    )
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("| maple ")]
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[6:10] == ["2", "4", "0.0026", "MaPLe's ep5_cross_datasets"]

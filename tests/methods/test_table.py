"""What methods there are, what they are called, and the settings they come with."""

import subprocess
import sys

import pytest

from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.settings import default_config, run_config
from fdbpl_jax.methods.__main__ import trained_values
from fdbpl_jax.methods.table import METHODS, method_named


@pytest.mark.parametrize(
    ("method", "published"),
    [
        # MaPLe's own comparison of methods, ViT-B/16.
        ("coop", 2048),
        ("cocoop", 35360),
        ("maple", 3_555_072),  # "3.55 M"
        ("promptsrc", 46080),  # PromptSRC's, ViT-B/16
        ("vpt", 8 * 768 * 12),
        ("prograd", 16 * 512),
        ("kgcoop", 2048),
    ],
)
def test_as_many_values_are_trained_as_published(method, published):
    counts = [
        trained_values(METHODS[method + loss]) for loss in ("", "+kdpl", "+fdbpl")
    ]
    assert counts == [published, published, published + 4 * 512]


@pytest.mark.parametrize(
    ("method", "epochs", "batch", "lr"),
    [
        ("coop", 50, 32, 0.002),
        ("cocoop+kdpl", 10, 1, 0.002),
        ("vpt", 5, 4, 0.0025),
        ("maple+fdbpl", 5, 4, 0.0035),
        ("promptsrc", 20, 4, 0.0025),
        ("kgcoop", 100, 128, 0.002),
        ("prograd", 100, 32, 0.002),
        ("prograd+fdbpl", 50, 128, 0.1),
        ("promptkd", 20, 8, 0.005),
    ],
)
def test_published_settings(method, epochs, batch, lr):
    optim = METHODS[method].optim
    assert (optim.epochs, optim.batch_size, optim.lr) == (epochs, batch, lr)


def test_published_prompts():
    found = {name: METHODS[name].prompt for name in ("vpt", "maple", "promptsrc")}
    assert [(p.context_length, p.text_depth) for p in found.values()] == [
        *((0, 1), (2, 9), (4, 9))
    ]
    assert [(p.image_tokens, p.image_depth) for p in found.values()] == [
        *((8, 12), (0, 1), (4, 9))
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("upl+kdpl", "reads no label"),
        ("promptkd+fdbpl", "teacher's feature space"),
        ("promptsrc+kdpl-ca", "other names"),
        ("maple+kdlp", "Did you mean 'maple.kdpl'"),
    ],
)
def test_what_cannot_be_combined_says_why(name, why):
    with pytest.raises(UserError, match=why):
        method_named(name)
    config = default_config()
    config.methods = name
    with pytest.raises(UserError, match=why):
        run_config(config)


def test_a_list_of_names_has_to_be_given():
    config = default_config()
    config.methods = "vpt+kdpl-ca"
    with pytest.raises(UserError, match=r"names.file is empty"):
        run_config(config)


@pytest.mark.parametrize(
    ("method", "name", "value", "message"),
    [
        ("vpt", "context_length", 4, "vpt learns none"),
        ("maple", "image_tokens", 2, "maple learns none"),
        ("vpt", "image_tokens", 0, "at least 1"),
        ("cocoop", "class_specific", True, "only with the learner of CoOp"),
    ],
)
def test_a_setting_that_a_learner_does_not_have_is_refused(
    method, name, value, message
):
    config = default_config()
    config.methods = method
    config.prompt_for[method][name] = value
    with pytest.raises(UserError, match=message):
        run_config(config)


def test_the_command_prints_every_method_asked_for():
    command = [sys.executable, "-m", "fdbpl_jax.methods"]
    found = subprocess.run(
        [*command, "--for=maple"], capture_output=True, text=True, check=True
    )
    rows = [line.split("|")[1].strip() for line in found.stdout.splitlines()[2:]]
    assert rows == [name for name in METHODS if name.startswith("maple")]
    assert "3,555,072" in found.stdout
    wrong = subprocess.run([*command, "--for=mapel"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "maple" in wrong.stderr

"""The list of settings against the settings themselves."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from absl import flags
from ml_collections import config_dict, config_flags

from fdbpl_jax.experiments.reference import PUBLISHED, settings, settings_text
from fdbpl_jax.experiments.settings import default_config, run_config

OF_METHODS = ("prompt_for", "optim_for", "tuned")


def leaves(config: config_dict.ConfigDict, where: str = "") -> Iterator[str]:
    for name in config:
        value: Any = config.get_oneway_ref(name).get()
        if isinstance(value, config_dict.ConfigDict):
            yield from leaves(value, f"{where}{name}.")
        else:
            yield where + name


def listed():
    return [setting for group in settings() for setting in group.settings]


def test_every_setting_is_listed_with_a_meaning():
    expected = [x for x in leaves(default_config()) if not x.startswith(OF_METHODS)]
    names = [setting.name for setting in listed()]
    assert sorted(names) == sorted(
        [*expected, "prompt_for.METHOD.…", "optim_for.METHOD.…"]
    )
    assert all(len(setting.meaning) > 3 for setting in listed())


def test_each_is_one_line_of_help():
    title, *lines = settings_text().strip().splitlines()
    assert len(lines) == len(listed())
    assert max(map(len, [title, *lines])) <= 110
    shots = "  --config.data.shots=16                training images per class"
    assert shots in lines


def test_defaults_as_listed_are_the_defaults(monkeypatch):
    words = [
        f"--config.{setting.name}={setting.default}"
        for setting in listed()
        if setting.default != PUBLISHED
        and "METHOD" not in setting.name
        and not (setting.default == "" and setting.name.startswith("sweep."))
    ]
    assert len(words) > 40
    monkeypatch.setattr(sys, "argv", ["command", *words])  # where overrides are sought
    values = flags.FlagValues()
    config_flags.DEFINE_config_dict("config", default_config(), flag_values=values)
    values(sys.argv)
    assert run_config(values.config) == run_config(default_config())


def test_what_methods_decide_is_listed_as_published():
    groups = {group.name: group for group in settings()}
    for part in ("prompt", "optim"):
        assert {setting.default for setting in groups[part].settings} == {PUBLISHED}
    optim = {f"optim.{f.name}" for f in dataclasses.fields(type(_optim()))}
    assert {setting.name for setting in groups["optim"].settings} == optim


def _optim():
    return run_config(default_config()).optim_of("coop")


def test_run_prints_them_under_its_flags():
    command = [sys.executable, "-m", "fdbpl_jax.main", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.index("--workdir") < done.stdout.index("--config.seeds=1,2,3")
    assert done.stdout.endswith(settings_text() + "\n")

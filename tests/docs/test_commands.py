"""Every command in README, docs and docstrings is one that the program takes.

Commands are parsed by the flags and configs of the program. `test_runs.py` runs those
that need no other data than the embedded ones.
"""

import functools
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib

import pytest
from ml_collections import config_dict
from support.pages import ROOT, Command, commands, docstrings, inline, pages, unrendered

from fdbpl_jax.experiments.settings import default_config

SCRIPT = ROOT / "tests" / "support" / "parse_commands.py"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}


@functools.cache
def all_commands() -> list[Command]:
    """Of the pages, and of docstrings, which `--help` prints."""
    texts = {page.name: page.read_text() for page in pages()} | docstrings()
    return [c for name, text in texts.items() for c in commands(text, name)]


def program_words(words: list[str]) -> list[list[str]]:
    """What a command gives to the program: words after `fdbpl` or `python`.

    Nothing if it is another program; twice, if it gives flags to other commands.
    """
    run = ["-m", "fdbpl_jax.main"]
    if words[0].startswith("launch/"):
        config = "" if words[0].endswith("gpu.sh") else "--config="
        return [[*run, f"{config}{words[1]}", *words[2:]]]
    module = words[2] if words[:2] == ["python", "-m"] else ""
    # Benchmarks need PyTorch to be so much as imported.
    is_ours = words[0] == "fdbpl" or module.startswith(("fdbpl_jax", "tools"))
    if not is_ours:
        return []
    more = words[words.index("--") + 1 :] if "--" in words else []
    return [words[1:], *([[*run, "--config=base2new", *more]] if more else [])]


def parse_errors(calls: list[tuple[list[str], bool]]) -> list[str | None]:
    done = subprocess.run(
        [sys.executable, SCRIPT],
        input="\n".join(map(json.dumps, calls)),
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


WRONG = {
    "fdbpl predikt EXPORT a.jpg": "predikt",
    "fdbpl predict EXPORT a.jpg --topp=3": "topp",
    "fdbpl predict EXPORT a.jpg --top=many": "many",
    "fdbpl import --export=x": "--checkpoint is missing",
    "fdbpl evaluate EXPORT dtd --classes=old": "old",
    "fdbpl learn my_images --shots=-1": "shots",
    "fdbpl learn": "0 data sets are named",
    "fdbpl run --config=base2news": "base2news",
    "fdbpl run --config=base2new --config.data.shot=8": "shots",
    "fdbpl run --config=base2new --config.data.shots=0": "data.shots",
    "fdbpl run --config=base2new --config.methods=coop+fdpbl": "coop+fdpbl",
    "fdbpl run --config=base2new:caltech102": "caltech102",
    "fdbpl run --config=base2new --dry_runs": "dry_runs",
    "fdbpl run --config=base2new shapes": "shapes",
    "python -m fdbpl_jax.ril verifi TABLE": "verifi",
    "python -m fdbpl_jax.paper run table7": "table7",
    "fdbpl paper run table2 -- --config.seed=1": "seed",
    "python -m fdbpl_jax.papers run": "fdbpl_jax.papers",
}


@pytest.fixture(scope="module")
def parsed() -> dict[str, str | None]:
    """The error of each command, of the pages and of `WRONG`, by how it is written."""
    wrong = [c for text in WRONG for c in commands(f"    {text}\n", "wrong")]
    named = [
        (f"{command.page}: {shlex.join(command.words)}", words, command.is_block)
        for command in [*all_commands(), *wrong]
        for words in program_words(command.words)
    ]
    errors = parse_errors([(words, is_block) for _, words, is_block in named])
    by_name: dict[str, str | None] = {}
    for (name, *_), error in zip(named, errors, strict=True):
        by_name[name] = by_name.get(name) or error
    return by_name


def test_the_program_takes_every_command(parsed):
    errors = {k: v for k, v in parsed.items() if not k.startswith("wrong: ")}
    assert len(errors) > 80
    assert not {name: error for name, error in errors.items() if error}


@pytest.mark.parametrize("text", WRONG)
def test_a_misspelt_command_is_noticed(parsed, text):
    error = parsed[f"wrong: {shlex.join(shlex.split(text))}"]
    assert error is not None
    assert WRONG[text] in error


def problem(command: Command) -> str | None:
    """What is wrong with a command of another program."""
    program, *words = command.words
    if program == "make":
        makefile = (ROOT / "Makefile").read_text()
        names = [word.partition("=")[0] for word in words if not word.startswith("-")]
        unknown = [x for x in names if not re.search(rf"^{x}( \?=|:)", makefile, re.M)]
        return f"make has no {unknown}" if unknown else None
    if program == "pip":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        extras = set(re.findall(r"[\w-]+", "".join(re.findall(r"\[(.*)\]", words[-1]))))
        unknown = extras - project["optional-dependencies"].keys()
        return f"no extra {sorted(unknown)}" if unknown else None
    places = [word for word in words if re.match(r"(tests|docs|launch)/", word)]
    return next((f"no {p}" for p in places if not (ROOT / p).exists()), None)


def benchmark_problem(words: list[str]) -> str | None:
    """The same of `python -m benchmarks.run`, read without PyTorch."""
    source = (ROOT / "benchmarks" / "run.py").read_text()
    known = re.findall(r'(?:DEFINE_\w+|path_flag)\(\s*"(\w+)"', source)
    for name, _, value in (word.lstrip("-").partition("=") for word in words):
        if name == "config" and value != "…" and not (ROOT / value).is_file():
            return f"no {value}"
        if name == "suite" and f'"{value}":' not in source:
            return f"no suite {value}"
        if name.partition(".")[0] not in known:
            return f"no flag {name}"
    return None


def test_other_programs_are_asked_for_what_is_there():
    texts = {
        "make rum": "rum",
        "make bench PRESETS=full": "PRESETS",
        'pip install ".[cuda14]"': "cuda14",
        "pytest tests/test_nothing.py": "nothing",
    }
    for text, name in texts.items():
        (command,) = commands(f"    {text}\n", "page")
        assert name in str(problem(command))
    wrong = ["--config=benchmarks/configs/tiny.py", "--suite=trains", "--outs=bench"]
    assert all(benchmark_problem([word]) for word in wrong)
    for command in all_commands():
        assert problem(command) is None, command
        if command.words[2:3] == ["benchmarks.run"]:
            assert benchmark_problem(command.words[3:]) is None, command


@functools.cache
def known_settings() -> set[str]:
    """Settings and their parts, as in `--config.optim` and `--config.optim.lr`."""
    config = default_config()
    names = {"METHOD"}

    def add(part: config_dict.ConfigDict, where: str) -> None:
        for name in part:
            names.add(f"{where}{name}")
            value = part.get_oneway_ref(name).get()
            if isinstance(value, config_dict.ConfigDict):
                add(value, f"{where}{name}.")

    add(config, "")
    return names


def unknown_settings(text: str) -> list[str]:
    """Settings that sentences of a page name and that do not exist."""
    codes = [code for code in inline(text) if "benchmarks" not in code]
    words = [word for code in codes for word in code.split()]
    named = [re.match(r"--config\.([\w.]*\w)", word) for word in words]
    known = known_settings()
    # "METHOD" and what follows it stand for any.
    return [m[1] for m in named if m and m[1].partition(".METHOD")[0] not in known]


def test_settings_that_sentences_name_exist():
    assert unknown_settings("see `--config.data.shots=8`, `--config.optm.lr`") == [
        "optm.lr"
    ]
    for page in pages():
        assert not unknown_settings(page.read_text()), page.name


def test_every_command_is_rendered_as_a_block():
    in_a_list = "- A list.\n\n\n    fdbpl run --config=base2new\n"
    assert unrendered(in_a_list) == ["fdbpl run --config=base2new"]
    assert not unrendered(in_a_list.replace("- A", "A"))
    for page in pages():
        assert not unrendered(page.read_text()), page.name

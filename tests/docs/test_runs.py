"""Commands of README and docs run as they are typed, on data that are made here."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image
from support.pages import ROOT, Command, commands, pages

pytestmark = pytest.mark.slow
PROGRAM = "from fdbpl_jax.cli import program; program()"
TINY = ("--config.methods=coop+fdbpl", "--config.seeds=1", "--config.optim.epochs=2")


def typed(*programs: str) -> list[Command]:
    """Each different command of blocks whose words begin so."""
    every = [c for page in pages() for c in commands(page.read_text(), page.name)]
    chosen = [c for c in every if c.is_block and " ".join(c.words).startswith(programs)]
    return list({tuple(command.words): command for command in chosen}.values())


def call(words: list[str], folder: Path, *, code: str = PROGRAM) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    interpreter = [sys.executable, "-c", code]
    if words[0] == "python":
        interpreter = [sys.executable]
    listed = folder / "list.txt"
    done = subprocess.run(
        [*interpreter, *words[1:]],
        cwd=folder,
        env=environment,
        input=listed.read_text() if listed.exists() else "",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (words, done.stderr[-2000:])
    return done.stdout


def is_embedded(command: Command) -> bool:
    """Whether the embedded data and models are all that it reads."""
    text = " ".join(command.words)
    return not any(word in text for word in ("data.root", "student", "…"))


EMBEDDED = [c for c in typed("fdbpl run", "python -m fdbpl_jax.main") if is_embedded(c)]


@pytest.mark.parametrize("command", EMBEDDED, ids=lambda c: " ".join(c.words))
def test_runs_on_the_embedded_data_can_be_planned(command, tmp_path):
    plan = call([*command.words, "--dry_run", "--workdir=runs"], tmp_path)
    assert "cells" in plan
    assert " in all" in plan


def write_images(folder: Path, names: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for name in names:
        pixels = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)


@pytest.fixture(scope="module")
def used(tmp_path_factory) -> Path:
    """A folder in which the README's own run and the tutorial's have been made."""
    folder = tmp_path_factory.mktemp("user")
    for seed, name in enumerate(("banded", "bubbly", "chequered", "cracked")):
        names = [f"{n}.jpg" for n in range(10)]
        write_images(folder / "my_images" / name, names, seed)
    write_images(folder / "photos", ["a.jpg", "b.jpg"], 9)
    (folder / "x.jpg").write_bytes((folder / "photos" / "a.jpg").read_bytes())
    (folder / "list.txt").write_text("photos/a.jpg\nphotos/b.jpg\n")
    (folder / "names.txt").write_text("bubbly\ncracked\n")
    (folder / "other_names.txt").write_text("a cat\na dog\n")
    root = "--config.data.root=my_images"
    call(["fdbpl", "run", "--config=base2new:folder", root, *TINY], folder)
    few = ["--config=few_shot:folder", root, "--config.sweep.shots=16"]
    call(["fdbpl", "run", *few, *TINY], folder)
    return folder


def filled(word: str) -> str:
    export = "runs/base2new/my_images/coop+fdbpl/seed1/export"
    return word.replace("EXPORT", export).replace("DATA", ".")


OF_CLASSIFIERS = [
    c
    for c in typed("fdbpl predict", "fdbpl evaluate")
    if "--dataset=my_images" in c.words or "predict" in c.words
]


@pytest.mark.parametrize("command", OF_CLASSIFIERS, ids=lambda c: " ".join(c.words))
def test_exports_are_used_as_the_pages_say(command, used):
    said = call([filled(word) for word in command.words], used)
    if "predict" in command.words:
        assert "photos/b.jpg" in said
    else:
        assert "% of" in said


def python_blocks() -> list[str]:
    tokens = [t for page in pages() for t in MarkdownIt().parse(page.read_text())]
    return [token.content for token in tokens if token.info == "python"]


def test_python_of_the_pages_runs(used):
    blocks = python_blocks()
    assert len(blocks) >= 2
    for block in blocks:
        said = call(["fdbpl"], used, code=block)
        assert "(" in said


def test_tables_are_built_verified_and_shown_as_the_pages_say(tmp_path):
    of_tables = typed("fdbpl ril")
    assert [c.words[2] for c in of_tables] == ["build", "verify", "show", "show"]
    for command in of_tables:
        small = ["--regions=2", "--shots=1", "--seeds=1"]
        is_build = command.words[2] == "build"
        call([*command.words, *(small if is_build else [])], tmp_path)
    assert (tmp_path / "regions.png").exists()

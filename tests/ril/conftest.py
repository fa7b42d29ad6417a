import json
import shutil
import string
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from fdbpl_jax.clip.config import ClipConfig, TextConfig, TowerConfig, VisionConfig
from fdbpl_jax.clip.convert import param_shapes
from fdbpl_jax.clip.image import ImageSettings
from fdbpl_jax.clip.model import Clip, load_clip, save_clip
from fdbpl_jax.config import RilConfig
from fdbpl_jax.data.types import Dataset, Example
from fdbpl_jax.ril.build import build_table, plan_spec
from fdbpl_jax.ril.table import Table, open_table

CLASSES = ("ant", "bee", "cow", "dog", "emu", "fox")
REGIONS, KEEP = 6, 4


def _write_pictures(root: Path, count: int) -> tuple[Example, ...]:
    """Small pictures in class folders, of several sizes and shapes."""
    rng = np.random.default_rng(0)
    examples = []
    for number in range(count):
        label = number % len(CLASSES)
        path = f"{CLASSES[label]}/{number:03d}.{'png' if number % 3 else 'jpg'}"
        coarse = rng.integers(0, 256, (5, 6, 3), np.uint8)
        size = (24 + number % 7, 20 + number % 5)
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(file)
        examples.append(Example(path, label))
    return tuple(examples)


def _write_clip(path: Path, tokenizer: Path, seed: int, width: int, image: int) -> None:
    vocabulary = len(json.loads((tokenizer / "vocab.json").read_text()))
    config = ClipConfig(
        VisionConfig(TowerConfig(24, 2, 3, 40, "quick_gelu", 1e-5), image, 5),
        TextConfig(
            TowerConfig(16, 2, 2, 28, "quick_gelu", 1e-5),
            vocabulary,
            77,
            vocabulary - 1,
        ),
        width,
    )
    rng = np.random.default_rng(seed)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(0.8 * rng.standard_normal(leaf.shape), leaf.dtype),
        param_shapes(config),
    )
    params["logit_scale"] = jnp.asarray(4.5, jnp.float32)
    save_clip(config, params, ImageSettings(image), tokenizer, path)


@pytest.fixture(scope="session")
def pair_dirs(tmp_path_factory) -> tuple[Path, Path]:
    """Random student and teacher of different widths and input sizes, on disk."""
    base = tmp_path_factory.mktemp("pair")
    letters = [*string.ascii_lowercase, "."]
    words = [*letters, *(f"{x}</w>" for x in letters), "<|startoftext|>"]
    vocab = {word: i for i, word in enumerate([*words, "<|endoftext|>"])}
    tokenizer = base / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "vocab.json").write_text(json.dumps(vocab))
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    _write_clip(base / "student", tokenizer, 1, 10, 15)
    _write_clip(base / "teacher", tokenizer, 2, 14, 20)
    return base / "student", base / "teacher"


@pytest.fixture(scope="session")
def student(pair_dirs) -> Clip:
    return load_clip(str(pair_dirs[0]))


@pytest.fixture(scope="session")
def teacher(pair_dirs) -> Clip:
    return load_clip(str(pair_dirs[1]))


@pytest.fixture(scope="session")
def write_pictures() -> Callable[[Path, int], tuple[Example, ...]]:
    return _write_pictures


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Dataset:
    """40 pictures: three blocks, the last one short."""
    root = tmp_path_factory.mktemp("pictures")
    train = _write_pictures(root, 40)
    return Dataset("pictures", root, CLASSES, "a photo of a {}.", train, (), ())


@pytest.fixture(scope="session")
def spec(dataset, teacher, student):
    settings = RilConfig(keep=KEEP, seed=3)
    return plan_spec(dataset, teacher, student, settings, REGIONS)


@pytest.fixture(scope="session")
def built(tmp_path_factory, dataset, spec, teacher, student) -> Path:
    """A finished table; not to be changed."""
    path = tmp_path_factory.mktemp("tables") / "whole"
    build_table(path, spec, dataset.root, teacher, student)
    return path


@pytest.fixture
def table(built) -> Table:
    return open_table(built)


@pytest.fixture
def copy(built, tmp_path) -> Path:
    """A finished table to be damaged."""
    return shutil.copytree(built, tmp_path / "copy")


@pytest.fixture(scope="session")
def files() -> Callable[[Path], dict[str, bytes]]:
    """What every file under a folder holds, but for the time that a build took."""

    def content(file: Path) -> bytes:
        if file.name != "manifest.json":
            return file.read_bytes()
        values = json.loads(file.read_text())
        assert values.pop("sha256")
        assert values.pop("build_seconds", values.pop("seconds", -1)) >= 0
        return json.dumps(values).encode()

    def read(path: Path) -> dict[str, bytes]:
        found = [file for file in path.rglob("*") if file.is_file()]
        return {file.relative_to(path).as_posix(): content(file) for file in found}

    return read

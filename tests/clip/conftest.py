import contextlib
import json
import logging
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.clip.config import (
    ClipConfig,
    TextConfig,
    TowerConfig,
    VisionConfig,
    parse_config,
)
from fdbpl_jax.clip.convert import convert, param_shapes
from fdbpl_jax.clip.image import ImageSettings
from fdbpl_jax.clip.model import save_clip


def make_config(activation="quick_gelu", eos_token_id=13) -> ClipConfig:
    """Towers that differ in every size, over the vocabulary of `tokenizer_dir`."""
    return ClipConfig(
        vision=VisionConfig(TowerConfig(24, 2, 3, 40, activation, 1e-5), 15, 5),
        text=TextConfig(
            TowerConfig(16, 3, 2, 28, activation, 1e-5), 14, 77, eos_token_id
        ),
        projection=10,
    )


def make_params(config: ClipConfig, seed=0):
    """Random parameters; no norm or bias has the 1 or 0 it starts from."""
    rng = np.random.default_rng(seed)

    def draw(spec):
        return jnp.asarray(0.3 * rng.standard_normal(spec.shape), spec.dtype)

    return jax.tree.map(draw, param_shapes(config))


@pytest.fixture(scope="session")
def tiny_config() -> ClipConfig:
    return make_config()


@pytest.fixture(scope="session")
def tiny_params(tiny_config):
    return make_params(tiny_config)


@pytest.fixture(scope="session")
def tokenizer_dir(tmp_path_factory) -> Path:
    """A CLIP vocabulary of 14: a to f, with and without a word end, SOS and EOS."""
    path = tmp_path_factory.mktemp("tokenizer")
    words = [*"abcdef", *(letter + "</w>" for letter in "abcdef")]
    vocab = {word: i for i, word in enumerate([*words, "<|startoftext|>"])}
    vocab["<|endoftext|>"] = len(vocab)
    (path / "vocab.json").write_text(json.dumps(vocab))
    (path / "merges.txt").write_text("#version: 0.2\n")
    return path


@pytest.fixture
def clip_dir(tmp_path, tiny_config, tiny_params, tokenizer_dir) -> Path:
    """A whole model's directory, of the test's own, to read or to damage."""
    path = tmp_path / "clip"
    image = ImageSettings(tiny_config.vision.image_size)
    save_clip(tiny_config, tiny_params, image, tokenizer_dir, path)
    return path


@pytest.fixture(scope="session")
def torch_clip():
    """Makes a random `CLIPModel` of PyTorch, and the same model here."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    def make(text, vision, projection_dim):
        hf = transformers.CLIPConfig(
            text_config=text, vision_config=vision, projection_dim=projection_dim
        )
        torch.manual_seed(0)
        with quiet():
            model = transformers.CLIPModel(hf).eval()
        with torch.no_grad():
            for p in model.parameters():
                if p.ndim == 1:  # norms and biases start at exactly 1 and 0
                    p.add_(0.1 * torch.randn_like(p))
        config = parse_config(hf.to_dict())
        tensors = {name: t.numpy() for name, t in model.state_dict().items()}
        return model, config, convert(config, tensors)

    return make


@contextlib.contextmanager
def quiet():
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)

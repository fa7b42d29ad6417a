"""The towers against `transformers`' own, in PyTorch, on random weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.clip.text import encode_text
from fdbpl_jax.clip.vision import encode_image

torch = pytest.importorskip("torch")


def text(width, heads, layers=2, act="quick_gelu", eps=1e-5, eos=2, vocab=99, **more):
    return {
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "intermediate_size": width * 4 - 8,
        "hidden_act": act,
        "layer_norm_eps": eps,
        "eos_token_id": eos,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "vocab_size": vocab,
        **more,
    }


def vision(width, heads, layers=2, act="quick_gelu", eps=1e-5, image=32, patch=8):
    return {
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "intermediate_size": width * 4,
        "hidden_act": act,
        "layer_norm_eps": eps,
        "image_size": image,
        "patch_size": patch,
    }


SMALL = {
    "towers of different width": (text(32, 2), vision(48, 3), 20),
    "gelu, patches that leave a rim": (
        text(24, 3, layers=3, act="gelu"),
        vision(40, 2, act="gelu", image=30, patch=7),
        36,
    ),
    "gelu in one tower, own epsilons, EOS by its id": (
        text(32, 4, act="gelu", eps=1e-2, eos=5, max_position_embeddings=12),
        vision(32, 2, eps=1e-3),
        16,
    ),
    "heads 80 wide, as in H/14": (
        text(64, 1),
        vision(160, 2, layers=1, act="gelu"),
        64,
    ),
}


def same_as_torch(model, config, params, length=12):
    rng = np.random.default_rng(0)
    vocab, size = config.text.vocab_size, config.vision.image_size
    ids = rng.integers(6, vocab - 1, (3, length))
    eos = vocab - 1 if config.text.eos_token_id == 2 else config.text.eos_token_id
    ids[[0, 1, 2], [3, length - 1, 5]] = eos
    pixels = rng.standard_normal((2, size, size, 3)).astype(np.float32)
    with torch.no_grad():
        images = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
        theirs = model(input_ids=torch.from_numpy(ids), pixel_values=images)
        expected = (
            theirs.vision_model_output.pooler_output,
            theirs.text_model_output.pooler_output,
            theirs.logits_per_image,
        )
    image, words = _both(config, params, pixels, ids.astype(np.int32))
    logits = np.exp(params["logit_scale"]) * _unit(image) @ _unit(words).T
    for ours, their in zip((image, words, logits), expected, strict=True):
        scale = float(their.abs().max())
        np.testing.assert_allclose(ours, their.numpy(), rtol=1e-5, atol=1e-5 * scale)


def _both(config, params, pixels, ids):
    def features(params, pixels, ids):
        return (
            encode_image(config.vision, params["vision"], pixels),
            encode_text(config.text, params["text"], ids),
        )

    return jax.jit(features)(params, pixels, jnp.asarray(ids))


def _unit(x):
    return np.asarray(x) / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("small", SMALL.values(), ids=SMALL)
def test_small_towers(torch_clip, small):
    same_as_torch(*torch_clip(*small))


def test_vit_b_32_in_full_size(torch_clip):
    b_32 = vision(768, 12, layers=12, image=224, patch=32)
    same_as_torch(*torch_clip(text(512, 8, layers=12, vocab=49408), b_32, 512))


@pytest.mark.slow
def test_vit_l_14_in_full_size(torch_clip):
    l_14 = vision(1024, 16, layers=24, image=224, patch=14)
    same_as_torch(*torch_clip(text(768, 12, layers=12, vocab=49408), l_14, 768))

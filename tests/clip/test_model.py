import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from fdbpl_jax.clip import model
from fdbpl_jax.clip.image import ImageSettings, normalise
from fdbpl_jax.clip.model import (
    image_features,
    load_clip,
    logit_scale,
    save_clip,
    text_features,
)
from fdbpl_jax.clip.text import encode_text
from fdbpl_jax.clip.tokenizer import tokenize
from fdbpl_jax.clip.vision import encode_image
from fdbpl_jax.errors import UserError


@pytest.fixture
def clip(clip_dir):
    return load_clip(str(clip_dir))


def test_what_is_saved_is_loaded(clip, clip_dir, tiny_config, tiny_params):
    assert clip.config == tiny_config
    assert clip.image == ImageSettings(15)
    assert clip.name == str(clip_dir)
    assert clip.fingerprint == load_clip(str(clip_dir)).fingerprint
    assert logit_scale(clip) == pytest.approx(float(np.exp(tiny_params["logit_scale"])))
    for a, b in zip(
        jax.tree.leaves(clip.params), jax.tree.leaves(tiny_params), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16])
def test_half_precision_files_are_loaded_as_float32(
    tiny_config, tiny_params, tokenizer_dir, tmp_path, dtype
):
    image = ImageSettings(15, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    save = functools.partial(save_clip, tiny_config, tiny_params, image, tokenizer_dir)
    save(tmp_path / "half", dtype=dtype)
    save(tmp_path / "whole")
    half, whole = ((tmp_path / n / "model.safetensors") for n in ("half", "whole"))
    assert half.stat().st_size < 0.7 * whole.stat().st_size
    clip = load_clip(str(tmp_path / "half"))
    assert clip.image == image
    for a, b in zip(
        jax.tree.leaves(clip.params), jax.tree.leaves(tiny_params), strict=True
    ):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a, b.astype(dtype).astype(np.float32))


def test_transformers_loads_what_is_saved(clip, clip_dir):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    theirs, info = transformers.CLIPModel.from_pretrained(
        clip_dir, output_loading_info=True
    )
    assert not any(info.values())
    ids = tokenize(clip.tokenizer, ["fade", "a bad bed"], clip.config.text)
    with torch.no_grad():
        found = theirs.get_text_features(torch.from_numpy(ids).long()).pooler_output
    found = found.numpy() / np.linalg.norm(found.numpy(), axis=-1, keepdims=True)
    np.testing.assert_allclose(
        text_features(clip, ["fade", "a bad bed"]), found, rtol=1e-5, atol=1e-5
    )


def test_a_directory_in_use_is_not_written_over(
    tiny_config, tiny_params, tokenizer_dir, clip_dir
):
    before = (clip_dir / "model.safetensors").read_bytes()
    with pytest.raises(UserError, match="exists already"):
        save_clip(tiny_config, tiny_params, ImageSettings(15), tokenizer_dir, clip_dir)
    assert (clip_dir / "model.safetensors").read_bytes() == before


def test_a_save_that_fails_leaves_nothing(
    tiny_config, tiny_params, tokenizer_dir, tmp_path, monkeypatch
):
    def full(tensors, path, metadata):
        path.write_bytes(b"half a fi")
        raise OSError("No space left on device")

    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        save_clip(
            tiny_config, tiny_params, ImageSettings(15), tokenizer_dir, tmp_path / "new"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_of_another_model_is_not_saved(
    tiny_config, tiny_params, tokenizer_dir, tmp_path
):
    text = dataclasses.replace(tiny_config.text, eos_token_id=5)
    config = dataclasses.replace(tiny_config, text=text)
    with pytest.raises(UserError, match="at id 5"):
        save_clip(
            config, tiny_params, ImageSettings(15), tokenizer_dir, tmp_path / "new"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_of_another_model_is_not_loaded(clip_dir):
    config = (clip_dir / "config.json").read_text()
    wrong = config.replace('"eos_token_id": 13', '"eos_token_id": 7')
    (clip_dir / "config.json").write_text(wrong)
    with pytest.raises(UserError, match="at id 7"):
        load_clip(str(clip_dir))


def test_image_features_are_the_tower_on_normalised_pixels(clip):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 15, 15, 3), dtype=np.uint8)
    found = image_features(clip, pixels)
    floats = normalise(clip.image, jnp.asarray(pixels))
    encode = jax.jit(encode_image, static_argnums=0)
    raw = encode(clip.config.vision, clip.params["vision"], floats)
    np.testing.assert_allclose(jnp.linalg.norm(found, axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(
        found * jnp.linalg.norm(raw, axis=-1, keepdims=True), raw, rtol=1e-5, atol=1e-5
    )


def test_text_features_do_not_depend_on_the_company(clip, monkeypatch):
    monkeypatch.setattr(model, "_TEXT_ROWS", 4)
    texts = ["a", "fade a bed", "bad", "abcdef " * 9, "cab", "d", "e"]
    together = text_features(clip, texts)
    assert together.shape == (7, 10)
    encode = jax.jit(encode_text, static_argnums=0)
    ids = jnp.asarray(tokenize(clip.tokenizer, texts, clip.config.text))
    raw = encode(clip.config.text, clip.params["text"], ids)
    alone = raw / jnp.linalg.norm(raw, axis=-1, keepdims=True)
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)
    assert text_features(clip, []).shape == (0, 10)


def test_texts_without_a_finite_feature_are_the_models_fault(clip):
    table = clip.params["text"]["token_embedding"]
    text = clip.params["text"] | {"token_embedding": table.at[2].set(jnp.inf)}
    broken = dataclasses.replace(clip, params=clip.params | {"text": text})
    assert text_features(broken, ["a bed"]).shape == (1, 10)
    with pytest.raises(UserError, match=r"1 of 2 texts, .*'cab'") as error:
        text_features(broken, ["a", "cab"])
    assert f"model '{clip.name}'" in error.value.what
    assert "not the training" in error.value.do


def test_a_folder_that_cannot_be_read_is_one_line(clip_dir, monkeypatch):
    def refuse(paths):
        raise PermissionError(13, "Permission denied", str(clip_dir / "config.json"))

    monkeypatch.setattr(model.files, "refuse_pointers", refuse)
    with pytest.raises(UserError, match=r"cannot be read: Permission denied \('.*json"):
        load_clip(str(clip_dir))


def test_other_texts_and_models_are_rarely_compiled_anew(clip):
    text_features(clip, ["a", "b", "c"])
    before = model._text_features._cache_size()
    text_features(clip, ["fed", "ad", "bad", "a"])
    other = dataclasses.replace(clip, params=jax.tree.map(lambda p: 2 * p, clip.params))
    text_features(other, ["d", "e", "f"])
    assert model._text_features._cache_size() == before


@pytest.mark.parametrize("name", ["tiny-clip-student", "tiny-clip-teacher"])
def test_the_small_real_pair_equals_transformers(shared_dir, name):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    path = shared_dir / "models" / name
    if not path.is_dir():
        pytest.skip(f"no {path}")
    clip = load_clip(str(path))
    texts = ["a photo of a dog.", "a centered satellite photo of Annual Crop Land."]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    ours = image_features(clip, pixels) @ text_features(clip, texts).T
    theirs = transformers.CLIPModel.from_pretrained(path, dtype=torch.float32)
    floats = np.asarray(normalise(clip.image, jnp.asarray(pixels)))
    with torch.no_grad():
        found = theirs(
            input_ids=torch.from_numpy(
                tokenize(clip.tokenizer, texts, clip.config.text)
            ),
            pixel_values=torch.from_numpy(floats.transpose(0, 3, 1, 2).copy()),
        )
    np.testing.assert_allclose(
        ours * logit_scale(clip), found.logits_per_image.numpy(), rtol=1e-5, atol=1e-5
    )

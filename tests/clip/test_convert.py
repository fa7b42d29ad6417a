import dataclasses
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.clip import convert as convert_module
from fdbpl_jax.clip.config import parse_config, to_hf_config
from fdbpl_jax.clip.convert import convert, init_clip, param_shapes, to_hf_tensors
from fdbpl_jax.errors import UserError


@pytest.fixture
def tensors(tiny_params):
    return to_hf_tensors(tiny_params)


def equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_there_and_back(tiny_config, tiny_params, tensors):
    again = convert(tiny_config, tensors)
    equal(again, tiny_params)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(again))


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16, np.float64])
def test_other_floats_become_float32(tiny_config, tensors, dtype):
    stored = {name: t.astype(dtype) for name, t in tensors.items()}
    again = convert(tiny_config, stored)
    assert {leaf.dtype for leaf in jax.tree.leaves(again)} == {np.dtype(np.float32)}
    expected = stored["visual_projection.weight"].astype(np.float32).T
    np.testing.assert_array_equal(again["vision"]["to_joint"]["kernel"], expected)


def test_position_ids_of_older_files_are_passed_over(tiny_config, tiny_params, tensors):
    for tower in ("text", "vision"):
        tensors[f"{tower}_model.embeddings.position_ids"] = np.arange(77)[None]
    equal(convert(tiny_config, tensors), tiny_params)


def test_a_missing_tensor_is_named(tiny_config, tensors):
    del tensors["text_model.encoder.layers.1.mlp.fc2.bias"]
    with pytest.raises(
        UserError, match=r"do not hold text_model.*layers.1.mlp.fc2.bias"
    ):
        convert(tiny_config, tensors)


def test_a_tensor_that_no_clip_has_is_ignored_with_a_notice(
    tiny_config, tiny_params, tensors, caplog
):
    tensors["logit_bias"] = np.zeros((), np.float32)
    tensors["text_model.head.weight"] = np.zeros(3, np.int8)
    equal(convert(tiny_config, tensors, "my/clip"), tiny_params)
    (record,) = caplog.records
    assert "'my/clip'" in record.message
    assert "logit_bias, text_model.head.weight" in record.message


@pytest.mark.parametrize("prefix", ["module.", "clip.", "module.clip_model."])
def test_a_prefix_of_all_names_is_taken_off_with_a_notice(
    tiny_config, tiny_params, tensors, prefix, caplog
):
    wrapped = {prefix + name: tensor for name, tensor in tensors.items()}
    equal(convert(tiny_config, wrapped, "my/clip"), tiny_params)
    (record,) = caplog.records
    assert "'my/clip'" in record.message
    assert f"'{prefix}'" in record.message


def test_what_is_outside_of_the_prefix_is_ignored_with_the_notice(
    tiny_config, tiny_params, tensors, caplog
):
    wrapped = {f"clip.{name}": tensor for name, tensor in tensors.items()}
    wrapped["head.weight"] = wrapped["text_projection.weight"] = np.zeros(3)
    equal(convert(tiny_config, wrapped), tiny_params)
    (record,) = caplog.records
    assert "head.weight, text_projection.weight" in record.message


def test_a_model_of_two_clips_is_refused(tiny_config, tensors):
    two = {f"{p}{n}": t for p in ("student.", "teacher.") for n, t in tensors.items()}
    with pytest.raises(UserError, match=r"hold 0 layers.* names are student\."):
        convert(tiny_config, two)


def test_ordinary_weights_need_no_notice(tiny_config, tensors, caplog):
    convert(tiny_config, tensors)
    assert not caplog.records


def test_a_layer_left_over_is_named(tiny_config, tensors):
    tensors["vision_model.encoder.layers.2.mlp.fc1.bias"] = np.zeros(40, np.float32)
    with pytest.raises(UserError, match=r"hold 3 layers of the vision tower.*says 2"):
        convert(tiny_config, tensors)


@pytest.mark.parametrize("tower", ["vision", "text"])
def test_a_million_layers_are_refused_at_once(tiny_config, tensors, tower, monkeypatch):
    def build(config):
        raise AssertionError("a tree of a million layers takes minutes")

    monkeypatch.setattr(convert_module, "param_shapes", build)
    part = getattr(tiny_config, tower)
    large = dataclasses.replace(part.tower, layers=10**6)
    part = dataclasses.replace(part, tower=large)
    config = dataclasses.replace(tiny_config, **{tower: part})
    with pytest.raises(UserError, match=rf"layers of the {tower} tower.*says 1000000"):
        convert(config, tensors)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("logit_scale", (1,)),
        ("visual_projection.weight", (24, 10)),  # (10, 24), turned around
        ("vision_model.embeddings.patch_embedding.weight", (24, 3, 5, 4)),
        ("text_model.embeddings.position_embedding.weight", (76, 16)),
    ],
)
def test_a_shape_that_does_not_fit_is_named(tiny_config, tensors, name, shape):
    was = tensors[name].shape
    tensors[name] = np.zeros(shape, np.float32)
    with pytest.raises(UserError, match="disagree on shapes") as error:
        convert(tiny_config, tensors)
    assert f"{name} {shape}, not {was}" in str(error.value)


@pytest.mark.parametrize("dtype", [np.int8, np.bool_, np.complex64])
def test_tensors_that_are_no_floats_are_refused(tiny_config, tensors, dtype):
    tensors["logit_scale"] = np.asarray(1, dtype)
    with pytest.raises(UserError, match=f"logit_scale {np.dtype(dtype)}") as error:
        convert(tiny_config, tensors)
    assert "float16, bfloat16, float32, float64" in error.value.what


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16, np.float32])
def test_weights_that_are_not_finite_are_refused(tiny_config, tensors, value, dtype):
    name = "text_model.encoder.layers.0.mlp.fc1.weight"
    tensors[name] = tensors[name].astype(dtype)
    tensors[name][3, 2] = value
    with pytest.raises(UserError, match=f"NaN or infinity in {name}"):
        convert(tiny_config, tensors)


def test_a_logit_scale_that_is_no_logarithm_is_refused(tiny_config, tensors):
    tensors["logit_scale"] = np.asarray(100, np.float32)
    with pytest.raises(UserError, match="logit_scale 100"):
        convert(tiny_config, tensors)


def test_many_names_are_not_all_listed(tiny_config, tensors):
    few = {n: t for n, t in tensors.items() if n.endswith(".layer_norm1.bias")}
    with pytest.raises(UserError, match=r"do not hold .* and \d\d more"):
        convert(tiny_config, few)


SIZES = {
    "B/16": ((768, 12, 12, 224, 16), (512, 8, 12), 512, "quick_gelu"),
    "L/14-336": ((1024, 16, 24, 336, 14), (768, 12, 12), 768, "quick_gelu"),
    "H/14": ((1280, 16, 32, 224, 14), (1024, 16, 24), 1024, "gelu"),
}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_names_and_shapes_of_the_real_sizes(size):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    (width, heads, layers, image, patch), text, projection, act = size
    hf = transformers.CLIPConfig(
        vision_config=section(
            width, heads, layers, act, image_size=image, patch_size=patch
        ),
        text_config=section(*text, act),
        projection_dim=projection,
    )
    logging.disable(logging.WARNING)
    with torch.device("meta"):
        theirs = transformers.CLIPModel(hf).state_dict()
    logging.disable(logging.NOTSET)
    blank = jax.tree.map(
        lambda spec: np.broadcast_to(np.float32(0), spec.shape),
        param_shapes(parse_config(hf.to_dict())),
    )
    ours = {name: t.shape for name, t in to_hf_tensors(blank).items()}
    assert ours == {name: tuple(t.shape) for name, t in theirs.items()}


def section(width, heads, layers, act, **more):
    return {
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "intermediate_size": width * 4,
        "hidden_act": act,
        **more,
    }


def test_random_parameters_fill_the_model(tiny_config):
    config = dataclasses.replace(tiny_config, projection=7)
    params = jax.jit(lambda key: init_clip(config, key))(jax.random.key(0))
    equal(convert(config, to_hf_tensors(params)), params)
    np.testing.assert_allclose(np.exp(params["logit_scale"]), 1 / 0.07, rtol=1e-6)
    assert parse_config(to_hf_config(config)) == config

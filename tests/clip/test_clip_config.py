import logging

import pytest

from fdbpl_jax.clip.config import parse_config, to_hf_config
from fdbpl_jax.errors import UserError


def test_there_and_back(tiny_config):
    assert parse_config(to_hf_config(tiny_config)) == tiny_config


def test_what_is_left_out_is_as_in_transformers():
    transformers = pytest.importorskip("transformers")
    assert parse_config({}) == parse_config(transformers.CLIPConfig().to_dict())
    assert parse_config({"text_config": None}).text.eos_token_id == 49407


@pytest.mark.parametrize("eos", [0, 2])
def test_small_eos_ids_are_read(tiny_config, eos):
    hf = to_hf_config(tiny_config)
    hf["text_config"]["eos_token_id"] = eos
    assert parse_config(hf).text.eos_token_id == eos


def test_the_older_sections_win_with_their_own_defaults():
    transformers = pytest.importorskip("transformers")
    hf = {
        "model_type": "clip",
        "text_config": {"hidden_size": 64, "eos_token_id": 2, "vocab_size": 11},
        "text_config_dict": {"hidden_size": 768, "num_attention_heads": 12},
        "vision_config": {"hidden_size": 96, "image_size": 64},
        "vision_config_dict": None,
    }
    ours = parse_config(hf)  # first: transformers changes the sections it is given
    expected = parse_config(transformers.CLIPConfig(**hf).to_dict())
    assert ours == expected
    assert (expected.text.tower.width, expected.text.eos_token_id) == (768, 49407)
    assert expected.vision.image_size == 64


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("", "model_type", "siglip"),
        ("", "text_config", [1]),
        ("", "projection_dim", None),
        ("vision_config", "num_channels", 1),
        ("vision_config", "image_size", [224, 448]),
        ("vision_config", "patch_size", 0),
        ("vision_config", "patch_size", 448),
        ("vision_config", "hidden_act", "gelu_new"),
        ("text_config", "hidden_act", "relu"),
        ("text_config", "hidden_size", "512"),
        ("text_config", "num_attention_heads", 7),
        ("text_config", "num_attention_heads", 0),
        ("vision_config", "num_hidden_layers", -1),
        ("text_config", "vocab_size", True),
        ("text_config", "eos_token_id", [2, 3]),
        ("text_config", "layer_norm_eps", None),
        ("text_config", "layer_norm_eps", 0),
        ("text_config", "layer_norm_eps", 1e30),
        ("text_config", "hidden_size", 10**30),
        ("vision_config", "image_size", 2**20 + 1),
        ("text_config", "num_hidden_layers", 10**30),
        ("vision_config", "num_channels", 10**30),
        ("", "projection_dim", 10**30),
        ("", "projection_dim", 1e300),
    ],
)
def test_what_cannot_be_run_is_refused(tiny_config, section, name, value):
    hf = to_hf_config(tiny_config)
    (hf[section] if section else hf)[name] = value
    with pytest.raises(UserError, match=f"{section}.*{name}") as error:
        parse_config(hf)
    assert str(value)[:12].strip("'") in str(error.value)


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("", "model_type"),
        ("", "text_config"),
        ("vision_config", "hidden_act"),
        ("text_config", "hidden_size"),
        ("text_config", "layer_norm_eps"),
    ],
)
@pytest.mark.parametrize("value", [[7] * 10**5, "x" * 10**5], ids=["list", "text"])
def test_a_long_value_does_not_make_a_long_message(tiny_config, section, name, value):
    hf = to_hf_config(tiny_config)
    (hf[section] if section else hf)[name] = value
    with pytest.raises(UserError, match=name) as error:
        parse_config(hf)
    assert len(str(error.value)) < 700
    assert "\n" not in str(error.value)


def test_fields_that_are_not_used_are_not_looked_at(tiny_config, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    hf = to_hf_config(tiny_config)
    hf["text_config"] |= {
        "torch_dtype": "float16",
        "num_labels": 2,
        "id2label": {0: "x"},
    }
    hf["vision_config"]["attention_dropout"] = "none"
    assert parse_config(hf) == tiny_config
    assert not caplog.records

import json
import os
import shutil
from types import SimpleNamespace

import huggingface_hub
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from fdbpl_jax.clip import files
from fdbpl_jax.errors import UserError


def test_a_directory_is_taken_as_it_is(clip_dir, monkeypatch):
    assert files.locate(str(clip_dir)) == clip_dir
    monkeypatch.setenv("HOME", str(clip_dir.parent))
    assert files.locate("~/clip") == clip_dir


@pytest.mark.parametrize("source", ["no_such_folder", "./a/b", "/a/b", "a/b/c", ""])
def test_a_path_that_is_no_directory_is_refused(source):
    with pytest.raises(UserError, match=f"the model '{source}' is not a directory"):
        files.locate(source)


def test_a_file_is_refused(clip_dir):
    with pytest.raises(UserError, match="is not a directory"):
        files.locate(str(clip_dir / "config.json"))


def test_offline_says_how_to_point_at_a_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="cannot be reached") as error:
        files.locate("openai/no-such-model")
    assert "hf download openai/no-such-model" in error.value.do


def test_a_model_the_hub_does_not_have_is_refused(monkeypatch):
    def refuse(*args, **kwargs):
        response = SimpleNamespace(headers={}, request=None, status_code=404)
        raise huggingface_hub.errors.RepositoryNotFoundError("404", response=response)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(UserError, match=r"nor the Hugging Face hub has .*'a/b'"):
        files.locate("a/b")


def test_only_what_is_needed_is_fetched_and_never_a_pickle(clip_dir, monkeypatch):
    def download(name, allow_patterns):
        repo = [*os.listdir(clip_dir), "model-00001-of-00002.safetensors"]
        more = [
            "pytorch_model.bin",
            "flax_model.msgpack",
            "open_clip_model.safetensors",
        ]
        kept = huggingface_hub.utils.filter_repo_objects(
            [*repo, *more], allow_patterns=allow_patterns
        )
        assert sorted(kept) == sorted(repo)
        return str(clip_dir)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert files.locate("openai/clip") == clip_dir


def test_only_pickled_weights_are_refused_with_the_way_out(clip_dir):
    (clip_dir / "model.safetensors").rename(clip_dir / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"only pytorch_model\.bin") as error:
        files.weight_files(clip_dir)
    assert "save_pretrained" in error.value.do
    assert str(clip_dir) in error.value.do


def test_no_weights_at_all_are_refused(clip_dir):
    (clip_dir / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"has no model\.safetensors\."):
        files.weight_files(clip_dir)


@pytest.fixture
def shards(clip_dir):
    """The weights of `clip_dir` in two files with an index."""
    tensors = safetensors.numpy.load_file(clip_dir / "model.safetensors")
    (clip_dir / "model.safetensors").unlink()
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    index = {name: names[i % 2] for i, name in enumerate(sorted(tensors))}
    for file in names:
        part = {name: t for name, t in tensors.items() if index[name] == file}
        safetensors.numpy.save_file(part, clip_dir / file)
    content = json.dumps({"metadata": {}, "weight_map": index})
    (clip_dir / "model.safetensors.index.json").write_text(content)
    return clip_dir, tensors


def test_shards_make_one_model(shards):
    path, tensors = shards
    found = files.read_tensors(files.weight_files(path))
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor)


def test_a_missing_shard_is_named(shards):
    (shards[0] / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match=r"lacks the weight shards model-00002-of"):
        files.weight_files(shards[0])


def test_an_index_of_nothing_is_refused(shards):
    (shards[0] / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(UserError, match="lacks the weight shards all"):
        files.weight_files(shards[0])


def test_a_tensor_in_two_shards_is_refused(shards):
    first, second = files.weight_files(shards[0])
    shutil.copyfile(first, second)
    with pytest.raises(UserError, match="which another shard holds too"):
        files.read_tensors([first, second])


def test_bfloat16_is_read(tmp_path):
    stored = {"a": np.arange(3).astype(jnp.bfloat16)}
    safetensors.numpy.save_file(stored, tmp_path / "x.safetensors")
    found = files.read_tensors([tmp_path / "x.safetensors"])
    np.testing.assert_array_equal(found["a"].astype(np.float32), [0, 1, 2])


@pytest.mark.parametrize("cut", [0, 7, 500, -1])
def test_a_truncated_file_is_refused(clip_dir, cut):
    path = clip_dir / "model.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"model\.safetensors' is not a readable"):
        files.read_tensors([path])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no config.json"),
        ("{", "is not JSON"),
        ("[1]", "holds no JSON object"),
    ],
)
def test_a_bad_json_file_is_refused(clip_dir, content, message):
    path = clip_dir / "config.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=message):
        files.read_json(path)


def test_image_settings_are_found_in_either_file(clip_dir):
    settings = files.read_preprocessor(clip_dir)
    assert settings["size"] == {"shortest_edge": 15}
    (clip_dir / "preprocessor_config.json").unlink()
    assert files.read_preprocessor(clip_dir) == {}
    processor = json.dumps({"image_processor": settings})
    (clip_dir / "processor_config.json").write_text(processor)
    assert files.read_preprocessor(clip_dir) == settings


def fingerprint(path):
    return files.fingerprint(path, files.weight_files(path))


def test_the_fingerprint_follows_the_content_and_nothing_else(clip_dir):
    before = fingerprint(clip_dir)
    assert len(before) == 64
    (clip_dir / "README.md").write_text("another text")
    moved = clip_dir.rename(clip_dir.parent / "another name")
    assert fingerprint(moved) == before


NAMES = ["config.json", "vocab.json", "merges.txt", "preprocessor_config.json"]


@pytest.mark.parametrize("name", [*NAMES, "model.safetensors"])
def test_the_fingerprint_sees_every_file(clip_dir, name):
    before = fingerprint(clip_dir)
    content = bytearray((clip_dir / name).read_bytes())
    content[-1] ^= 1
    (clip_dir / name).write_bytes(content)
    assert fingerprint(clip_dir) != before

"""Models by path and by hub id; the hub is a folder here."""

import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import errors
from support.fake_hub import use_fake_hub

from fdbpl_jax.clip import hub, weights
from fdbpl_jax.clip.model import load_clip
from fdbpl_jax.errors import UserError


def test_a_directory_is_taken_as_it_is(clip_dir, monkeypatch):
    assert hub.locate(str(clip_dir)) == clip_dir
    monkeypatch.setenv("HOME", str(clip_dir.parent))
    assert hub.locate("~/clip") == clip_dir


@pytest.mark.parametrize("source", ["no_such_folder", "./a/b", "/a/b", "a/b/c", ""])
def test_a_path_that_is_no_directory_is_refused(source):
    with pytest.raises(UserError, match=f"the model '{source}' is not a directory"):
        hub.locate(source)


def test_a_file_is_refused(clip_dir):
    with pytest.raises(UserError, match="is a file, not a directory"):
        hub.locate(str(clip_dir / "config.json"))


def test_a_name_that_is_too_long_is_refused_in_one_short_line():
    with pytest.raises(UserError, match="xxx' cannot be read: File name too") as error:
        load_clip("x" * 5000)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ViT-B/32", "openai/clip-vit-base-patch32"),
        ("ViT-B-16", "openai/clip-vit-base-patch16"),
        ("vit_l_14", "openai/clip-vit-large-patch14"),
        ("ViT-L/14@336px", "openai/clip-vit-large-patch14-336"),
        ("clip-vit-base-patch32", "openai/clip-vit-base-patch32"),
        ("openai/clip-vit-base-patch-32", "openai/clip-vit-base-patch32"),
        ("ViT-H-14", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"),
        ("openai/RN50x4", "ResNet"),
    ],
)
def test_the_id_that_is_meant_is_named(name, meant, offline):
    with pytest.raises(UserError) as error:
        hub.locate(name)
    assert meant in error.value.do


def test_the_weights_that_openai_released_are_named_by_their_id(tmp_path):
    (tmp_path / "ViT-B-32.pt").touch()
    with pytest.raises(UserError, match="openai/clip-vit-base-patch32"):
        hub.locate(str(tmp_path / "ViT-B-32.pt"))


@pytest.fixture
def offline(tmp_path, monkeypatch) -> Path:
    """The hub's cache on a machine without network."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return cache


def test_offline_says_how_to_point_at_a_directory(offline):
    with pytest.raises(UserError, match=r"cannot be fetched .*Offline") as error:
        hub.locate("openai/no-such-model@refs/pr/3")
    assert "hf download openai/no-such-model --revision refs/pr/3" in error.value.do


@pytest.mark.parametrize(("at", "ref"), [("", "main"), ("@refs/pr/15", "refs/pr/15")])
def test_offline_a_model_in_the_cache_is_found(offline, clip_dir, at, ref):
    repo = offline / "models--openai--tiny"
    shutil.copytree(clip_dir, repo / "snapshots" / "abc")
    (repo / "refs" / ref).parent.mkdir(parents=True)
    (repo / "refs" / ref).write_text("abc")
    assert hub.locate(f"openai/tiny{at}") == repo / "snapshots" / "abc"


@pytest.fixture
def fake_hub(tmp_path, monkeypatch):
    return partial(use_fake_hub, monkeypatch, tmp_path / "snapshot")


SETTINGS = ["config.json", "merges.txt", "preprocessor_config.json", "vocab.json"]
OTHERS = ["README.md", "tf_model.h5", "open_clip_model.safetensors", "model.fp16.bin"]


@pytest.mark.parametrize(
    ("weight_files", "read"),
    [
        (["model.safetensors", "flax_model.msgpack", "pytorch_model.bin"], 1),
        (["flax_model.msgpack", "pytorch_model.bin"], 1),
        (
            [
                "model.safetensors.index.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "pytorch_model.bin",
            ],
            3,
        ),
    ],
)
def test_only_what_is_read_is_fetched(clip_dir, fake_hub, weight_files, read):
    (clip_dir / "model.safetensors").unlink()
    for name in [*weight_files, *OTHERS]:
        (clip_dir / name).touch()
    (clip_dir / "onnx").mkdir()
    (clip_dir / "onnx" / "model.safetensors").touch()
    downloaded = fake_hub(main=clip_dir)
    hub.locate("openai/clip")
    assert sorted(downloaded) == sorted([*SETTINGS, *weight_files[:read]])


def test_pickled_weights_are_not_fetched_where_nothing_reads_them(
    clip_dir, fake_hub, monkeypatch
):
    (clip_dir / "model.safetensors").rename(clip_dir / "pytorch_model.bin")
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    downloaded = fake_hub(main=clip_dir)
    with pytest.raises(UserError, match=r"only pytorch_model\.bin") as error:
        hub.locate("openai/clip")
    assert "from_pretrained('openai/clip')" in error.value.do
    assert downloaded == []


def test_a_revision_is_fetched(clip_dir, tmp_path, fake_hub):
    old = tmp_path / "old"
    shutil.copytree(clip_dir, old)
    (old / "model.safetensors").unlink()
    fake_hub(**{"main": old, "refs/pr/15": clip_dir})
    clip = load_clip("openai/clip@refs/pr/15")
    assert clip.name == "openai/clip@refs/pr/15"
    assert clip.fingerprint == load_clip(str(clip_dir)).fingerprint
    with pytest.raises(UserError, match=r"'openai/clip' has no model\.safetensors"):
        load_clip("openai/clip")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.RepositoryNotFoundError, r"nor the Hugging Face hub has .*'a/b@c'"),
        (errors.GatedRepoError, "hf auth login"),
        (errors.RevisionNotFoundError, "'a/b' has no revision 'c'"),
    ],
)
def test_what_the_hub_does_not_give_is_named(monkeypatch, error, message):
    def refuse(*args, **kwargs):
        response = SimpleNamespace(headers={}, request=None, status_code=404)
        raise error("404", response=response)

    monkeypatch.setattr(huggingface_hub, "model_info", refuse)
    with pytest.raises(UserError, match=message):
        hub.locate("a/b@c")


def test_a_download_that_breaks_off_says_why(clip_dir, fake_hub, monkeypatch):
    def full(*args, local_files_only, **kwargs):
        raise OSError(28, "No space left on device")

    fake_hub(main=clip_dir)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", full)
    with pytest.raises(UserError, match="No space left on device"):
        hub.locate("openai/clip")

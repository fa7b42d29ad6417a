import json
import os
from pathlib import Path

import pytest

from fdbpl_jax.clip import files
from fdbpl_jax.clip.model import load_clip
from fdbpl_jax.clip.weights import weight_files
from fdbpl_jax.errors import UserError


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no file config.json"),
        ("{", "is not JSON"),
        ("[1]", "holds no JSON object"),
        ("null", "holds no JSON object"),
        ('{"a":' + "[" * 100_000, "is not JSON"),
        ('{"a": 1' + "0" * 5000 + "}", "is not JSON"),
        ("\ufeff{}", "is not JSON"),
    ],
)
def test_a_bad_json_file_is_refused(clip_dir, content, message):
    path = clip_dir / "config.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=message):
        files.read_json(path)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_name_that_is_no_file_is_refused_and_does_not_hang(clip_dir, make):
    (clip_dir / "config.json").unlink()
    make(clip_dir / "config.json")
    with pytest.raises(UserError, match=r"has no file config\.json"):
        load_clip(str(clip_dir))


def test_image_settings_are_found_in_either_file(clip_dir):
    settings = files.read_preprocessor(clip_dir)
    assert settings["size"] == {"shortest_edge": 15}
    (clip_dir / "preprocessor_config.json").unlink()
    assert files.read_preprocessor(clip_dir) == {}
    processor = json.dumps({"image_processor": settings})
    (clip_dir / "processor_config.json").write_text(processor)
    assert files.read_preprocessor(clip_dir) == settings
    (clip_dir / "processor_config.json").write_text('{"image_processor": [1]}')
    with pytest.raises(UserError, match=r"image_processor .* no JSON object"):
        files.read_preprocessor(clip_dir)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "merges.txt"])
def test_a_pointer_of_git_lfs_is_refused(clip_dir, name):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 605\n"
    (clip_dir / name).write_text(pointer)
    with pytest.raises(UserError, match=f"{name}' is a Git LFS pointer") as error:
        load_clip(str(clip_dir))
    assert "git lfs pull" in error.value.do


def fingerprint(path):
    return files.fingerprint(path, weight_files(path))


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

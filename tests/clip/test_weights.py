import json
import pickle
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import serialization

from fdbpl_jax.clip import weights
from fdbpl_jax.errors import UserError


@pytest.fixture
def tensors(clip_dir):
    """The weights of `clip_dir`, which is left without."""
    tensors = safetensors.numpy.load_file(clip_dir / "model.safetensors")
    (clip_dir / "model.safetensors").unlink()
    return tensors


def read(directory):
    return weights.read_tensors(weights.weight_files(directory))


def equal(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)


def as_flax(tensors):
    """The tree of `transformers`' Flax CLIP, by its own names and layouts."""
    tree = {}
    for name, tensor in tensors.items():
        *parents, last = name.split(".")
        owner = parents[-1] if parents else ""
        if last == "weight" and "norm" in owner:
            last = "scale"
        elif last == "weight" and owner in ("token_embedding", "position_embedding"):
            last = "embedding"
        elif last == "weight":
            last = "kernel"  # input before output; of images height and width first
            axes = (2, 3, 1, 0) if owner == "patch_embedding" else (1, 0)
            tensor = np.ascontiguousarray(tensor.transpose(axes))
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = tensor
    return tree


def test_flax_weights_are_read(clip_dir, tensors):
    content = serialization.msgpack_serialize(as_flax(tensors))
    (clip_dir / "flax_model.msgpack").write_bytes(content)
    equal(read(clip_dir), tensors)


def test_shards_of_flax_weights_are_read(clip_dir, tensors):
    tree = as_flax(tensors)
    parts = [{"text_model": tree.pop("text_model")}, tree]
    index = {}
    for number, part in enumerate(parts):
        file = f"flax_model-0000{number + 1}-of-00002.msgpack"
        (clip_dir / file).write_bytes(serialization.msgpack_serialize(part))
        index |= dict.fromkeys(part, file)
    content = json.dumps({"weight_map": index})
    (clip_dir / "flax_model.msgpack.index.json").write_text(content)
    equal(read(clip_dir), tensors)


@pytest.mark.parametrize("wrap", [lambda state: state, lambda x: {"state_dict": x}])
def test_pytorch_weights_are_read(clip_dir, tensors, wrap):
    torch = pytest.importorskip("torch")
    state = {name: torch.tensor(tensor) for name, tensor in tensors.items()}
    torch.save(wrap(state), clip_dir / "pytorch_model.bin")
    equal(read(clip_dir), tensors)


def test_pytorch_weights_in_bfloat16_are_read_as_float32(clip_dir, tensors):
    torch = pytest.importorskip("torch")
    state = {name: torch.tensor(t).bfloat16() for name, t in tensors.items()}
    torch.save(state, clip_dir / "pytorch_model.bin")
    half = {n: t.astype(jnp.bfloat16).astype(np.float32) for n, t in tensors.items()}
    equal(read(clip_dir), half)


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_pickle_runs_nothing(clip_dir, tensors):
    pytest.importorskip("torch")
    content = pickle.dumps({"a": Hostile(str(clip_dir / "run"))})
    (clip_dir / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(UserError, match=r"pytorch_model\.bin' is not a readable"):
        read(clip_dir)
    assert not (clip_dir / "run").exists()


def test_without_pytorch_its_weights_are_refused_with_the_way_out(
    clip_dir, tensors, monkeypatch
):
    (clip_dir / "pytorch_model.bin").touch()
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"only pytorch_model\.bin") as error:
        weights.weight_files(clip_dir)
    assert f"from_pretrained('{clip_dir}').save_pretrained('DIR')" in error.value.do


NAMES = ["model.safetensors", "flax_model.msgpack", "pytorch_model.bin"]


def test_the_best_format_is_read(clip_dir, tensors, monkeypatch):
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: "torch")
    for name in NAMES[::-1]:
        (clip_dir / name).touch()
        assert weights.weight_files(clip_dir) == [clip_dir / name]


@pytest.mark.parametrize(
    ("names", "said", "do"),
    [
        ([], "no model.safetensors, flax_model.msgpack or pytorch_model.bin", "compl"),
        (["model.fp16.safetensors", "x.bin"], "only model.fp16.safetensors, x", "Ren"),
        (["tf_model.h5"], "only tf_model.h5", "complete"),
        (["clip/config.json", "clip/model.safetensors"], "has no model", "'clip'"),
        (["open_clip_config.json", "open_clip_model.bin"], "only open", "OpenCLIP"),
        (["adapter_model.safetensors"], "only adapter_model", "merge_and_unload"),
    ],
)
def test_the_message_says_what_there_is_without_weights(
    clip_dir, tensors, names, said, do
):
    for name in names:
        (clip_dir / name).parent.mkdir(exist_ok=True)
        (clip_dir / name).touch()
    with pytest.raises(UserError) as error:
        weights.weight_files(clip_dir)
    assert said in error.value.what
    assert do in error.value.do


def test_a_folder_with_the_name_of_the_weights_is_none(clip_dir, tensors):
    (clip_dir / "model.safetensors").mkdir()
    with pytest.raises(UserError, match=r"has no model\.safetensors"):
        weights.weight_files(clip_dir)


INDEX = "model.safetensors.index.json"


@pytest.fixture
def shards(clip_dir, tensors):
    """The weights of `clip_dir` in two files with an index."""
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    index = {name: names[i % 2] for i, name in enumerate(sorted(tensors))}
    for file in names:
        part = {name: t for name, t in tensors.items() if index[name] == file}
        safetensors.numpy.save_file(part, clip_dir / file)
    content = json.dumps({"metadata": {}, "weight_map": index})
    (clip_dir / INDEX).write_text(content)
    return clip_dir


def test_shards_make_one_model(shards, tensors):
    equal(read(shards), tensors)


def test_a_missing_shard_is_named(shards):
    (shards / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match=r"lacks the weight shards model-00002-of"):
        weights.weight_files(shards)


@pytest.mark.parametrize("index", [{}, {"weight_map": []}, {"weight_map": {"a": 1}}])
def test_an_index_of_nothing_is_refused(shards, index):
    (shards / INDEX).write_text(json.dumps(index))
    with pytest.raises(UserError, match="names no weight shards"):
        weights.weight_files(shards)


@pytest.mark.parametrize("place", ["../{}", "{}/..", "/a/{}", "sub/{}", "config.json"])
def test_a_shard_outside_the_directory_is_not_followed(shards, place):
    path = place.format("model-00001-of-00002.safetensors")
    (shards / INDEX).write_text(json.dumps({"weight_map": {"a": path}}))
    with pytest.raises(UserError, match=r"no \.safetensors file of the model's folder"):
        weights.weight_files(shards)


def test_a_tensor_in_two_shards_is_refused(shards):
    first, second = weights.weight_files(shards)
    shutil.copyfile(first, second)
    with pytest.raises(UserError, match="which another shard holds too"):
        weights.read_tensors([first, second])


def test_bfloat16_is_read(tmp_path):
    stored = {"a": np.arange(3).astype(jnp.bfloat16)}
    safetensors.numpy.save_file(stored, tmp_path / "x.safetensors")
    tensors = weights.read_tensors([tmp_path / "x.safetensors"])
    np.testing.assert_array_equal(tensors["a"].astype(np.float32), [0, 1, 2])


@pytest.mark.parametrize("dtype", [jnp.float8_e4m3fn, jnp.float8_e5m2])
def test_float8_is_refused_by_name(tmp_path, dtype):
    stored = {"a": np.ones(3, dtype), "b": np.ones(3, np.float32)}
    safetensors.numpy.save_file(stored, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match=r"in F8_E\dM\d, and only F64, F32, F16, BF16"):
        weights.read_tensors([tmp_path / "x.safetensors"])


@pytest.mark.parametrize("cut", [0, 7, 500, -1])
@pytest.mark.parametrize("name", NAMES)
def test_a_truncated_file_is_refused(clip_dir, tensors, name, cut):
    path = clip_dir / name
    if name == "model.safetensors":
        safetensors.numpy.save_file(tensors, path)
    elif name == "flax_model.msgpack":
        path.write_bytes(serialization.msgpack_serialize(as_flax(tensors)))
    else:
        torch = pytest.importorskip("torch")
        torch.save({n: torch.tensor(t) for n, t in tensors.items()}, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=f"{name}' is not a readable"):
        weights.read_tensors([path])


@pytest.mark.parametrize("tree", [[1, 2], "x", 5, {"a": {"kernel": np.ones(3)}}])
def test_msgpack_of_something_else_is_refused(clip_dir, tensors, tree):
    path = clip_dir / "flax_model.msgpack"
    path.write_bytes(serialization.msgpack_serialize(tree))
    with pytest.raises(UserError, match="is not a readable weight file"):
        read(clip_dir)

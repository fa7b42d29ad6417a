"""Files of `torch.save` made by hand: tensors are read, nothing else is looked up."""

import collections
import io
import os
import pickle
import sys
import types
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.errors import UserError
from fdbpl_jax.interop.torch_file import read_state

STORAGES = {
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "float64": "DoubleStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
}


class Rebuilt:
    """Pickled as PyTorch pickles the tensor of an array, or a part of it."""

    def __init__(self, array, offset=0, shape=None, strides=None):
        self.array = array
        count = int(np.prod(array.shape[1:]))
        strides = strides or (count, *np.cumprod(array.shape[:0:-1])[-2::-1], 1)
        self.view = offset, shape or array.shape, strides[-array.ndim :]

    def __reduce__(self):
        sizes = tuple(map(int, self.view[1])), tuple(map(int, self.view[2]))
        arguments = self, self.view[0], *sizes, False, collections.OrderedDict()
        return sys.modules["torch._utils"]._rebuild_tensor_v2, arguments


class Writer(pickle.Pickler):
    """Puts a storage in place of the first argument of `_rebuild_tensor_v2`."""

    def __init__(self, file):
        super().__init__(file, protocol=2)
        self.arrays = []
        self.reduced = set()

    def persistent_id(self, value):
        if not isinstance(value, Rebuilt):
            return None
        if id(value) not in self.reduced:  # first the tensor, then its storage
            self.reduced.add(id(value))
            return None
        self.arrays.append(value.array)
        kind = getattr(sys.modules["torch"], STORAGES[value.array.dtype.name])
        key = str(len(self.arrays) - 1)
        return "storage", kind, key, "cuda:0", value.array.size


@pytest.fixture(name="torch", autouse=True)
def _torch(monkeypatch):
    """Modules of PyTorch's names, so that a pickle can name what is in them."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES.values():
        kind = type(name, (), {"__module__": "torch"})
        setattr(torch, name, kind)

    def _rebuild_tensor_v2(*arguments):
        raise AssertionError("a name in a pickle was looked up")

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return torch


def saved(folder, checkpoint, compression=zipfile.ZIP_STORED, **members):
    pickled = io.BytesIO()
    writer = Writer(pickled)
    writer.dump(checkpoint)
    file = folder / "model.pth.tar-50"
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled.getvalue())
        for key, array in enumerate(writer.arrays):
            archive.writestr(f"archive/data/{key}", array.tobytes())
        for name, content in members.items():
            archive.writestr(f"archive/{name}", content)
    return file


def with_state(**state):
    return {"state_dict": collections.OrderedDict(state), "epoch": 50}


@pytest.mark.parametrize("dtype", STORAGES)
def test_tensors_of_every_type_are_read_as_float32(tmp_path, dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(jnp.dtype(dtype))
    file = saved(tmp_path, with_state(ctx=Rebuilt(array)), byteorder=b"little")
    read = read_state(file)["ctx"]
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, np.arange(24).reshape(2, 3, 4))


def test_a_part_of_a_storage_is_read_by_its_strides(tmp_path):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    views = {
        "whole": Rebuilt(array),
        "turned": Rebuilt(array, 0, (4, 3, 2), (1, 4, 12)),
        "later": Rebuilt(array, 13, (1, 2, 3), (12, 4, 1)),
    }
    read = read_state(saved(tmp_path, with_state(**views)))
    np.testing.assert_array_equal(read["turned"], array.transpose(2, 1, 0))
    np.testing.assert_array_equal(read["later"], array[1:, :2, 1:])


class Warmup:
    """A scheduler, such as trainers keep beside the tensors."""

    def __init__(self):
        self.successor, self.rates = self, [1e-5]


def test_what_trainers_keep_beside_their_tensors_is_no_obstacle(tmp_path):
    context = np.ones((4, 8), np.float32)
    checkpoint = with_state(ctx=Rebuilt(context))
    checkpoint["state_dict"]._metadata = collections.OrderedDict(version=1)
    checkpoint |= {
        "scheduler": {"successor": Warmup(), "last_epoch": 50},
        "val_result": np.float64(63.2),
        "optimizer": {"state": {0: {"momentum": Rebuilt(context * 2)}}},
        "sets": [{1, 2}, frozenset((3,)), collections.deque([4]), Warmup],
        "numbers": np.arange(3),
    }
    assert list(read_state(saved(tmp_path, checkpoint))) == ["ctx"]


class Hostile:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("place", ["state_dict", "beside", "everywhere", "built"])
def test_a_hostile_pickle_runs_nothing(tmp_path, place):
    """Whatever it names is called in none of the ways that a pickle can call things."""
    marker = tmp_path / "was here"
    calls = [
        Hostile(os.system, f"touch '{marker}'"),
        Hostile(eval, f"open({str(marker)!r}, 'w')"),
        Hostile(open, str(marker), "w"),
        Hostile(Path.touch, marker),  # a method: found by calling `getattr`
    ]
    checkpoint = with_state(ctx=Rebuilt(np.ones((4, 8), np.float32)))
    if place == "state_dict":
        checkpoint["state_dict"]["evil"] = calls[0]
    elif place == "beside":
        checkpoint["scheduler"] = calls
    elif place == "everywhere":
        checkpoint = Hostile(os.system, f"touch '{marker}'")
    else:
        evil = Warmup()
        evil.successor = calls[1]
        checkpoint["state_dict"].hook = calls[2]
        checkpoint["scheduler"] = evil
    file = saved(tmp_path, checkpoint)
    if place in ("state_dict", "everywhere"):
        with pytest.raises(UserError, match=r"'evil'|no state_dict"):
            read_state(file)
    else:
        assert list(read_state(file)) == ["ctx"]
    assert not marker.exists()


FAULTS = {
    "number": lambda: ({"state_dict": {0: Rebuilt(np.ones(3))}}, {}, "holds '0'"),
    "text": lambda: (with_state(ctx="words"), {}, "holds 'ctx'"),
    "empty": lambda: (with_state(), {}, "no state_dict"),
    "list": lambda: ([1, 2], {}, "no state_dict"),
    "none": lambda: ({"weights": Rebuilt(np.ones(3))}, {}, "no state_dict"),
    "beyond": lambda: (
        with_state(ctx=Rebuilt(np.ones((2, 3)), 1)),
        {},
        "damaged or no file",
    ),
    "negative": lambda: (
        with_state(ctx=Rebuilt(np.ones((2, 3)), 0, (2, 3), (-3, 1))),
        {},
        "damaged or no file",
    ),
    "bomb": lambda: (
        with_state(ctx=Rebuilt(np.ones((2, 3)), 0, (1000, 1000), (0, 0))),
        {},
        "damaged or no file",
    ),
    "compressed": lambda: (
        with_state(ctx=Rebuilt(np.ones((2, 3)))),
        {"compression": zipfile.ZIP_DEFLATED},
        "is compressed",
    ),
    "order": lambda: (
        with_state(ctx=Rebuilt(np.ones((2, 3)))),
        {"byteorder": b"big"},
        "byte order",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_state_of_tensors_is_refused_on_one_line(tmp_path, fault):
    checkpoint, members, message = FAULTS[fault]()
    with pytest.raises(UserError, match=message) as error:
        read_state(saved(tmp_path, checkpoint, **members))
    assert "\n" not in str(error.value)


def test_every_cut_of_a_file_is_refused(tmp_path):
    file = saved(tmp_path, with_state(ctx=Rebuilt(np.ones((2, 3), np.float32))))
    content = file.read_bytes()
    for end in range(0, len(content), 7):
        file.write_bytes(content[:end])
        with pytest.raises(UserError, match="no tensors read from"):
            read_state(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + b"rest", "before 1.6"),
        (pickle.dumps({"state_dict": {}}), "no file of `torch.save`"),
        (None, "no such file"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, content, message):
    file = tmp_path / "model.pth.tar-2"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_state(file)
    assert "model.pth.tar-2" in str(error.value)

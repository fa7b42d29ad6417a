"""Contexts of CoOp's own checkpoints: the same logits, or a refusal in words."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from fdbpl_jax.clip.model import load_clip
from fdbpl_jax.config import PromptConfig
from fdbpl_jax.errors import UserError
from fdbpl_jax.learners.coop import class_layout, class_row, encode_context
from fdbpl_jax.shapes import embedded
from fdbpl_jax.training.checkpoint import load_prompts

torch = pytest.importorskip("torch")

from benchmarks.torch_reference.learners import Texts, encode_texts  # noqa: E402
from benchmarks.torch_reference.towers import text_tower  # noqa: E402
from fdbpl_jax.interop.import_torch import check_context, read_context  # noqa: E402

NAMES = ("red dotted circle", "blue solid cross", "green checked square")
LENGTH = 4


@pytest.fixture(scope="module", name="clip")
def _clip():
    return load_clip(str(embedded("student")))


def row(clip, name):
    prompt = PromptConfig(context_length=LENGTH, init="")
    return class_row(clip.tokenizer, clip.config.text, name, prompt)[0]


def state(clip, half=True, classes=None):
    """What CoOp saves: the context, and embeddings of 77 positions around its place."""
    table = np.asarray(clip.params["text"]["token_embedding"])
    ids = np.zeros((len(NAMES), 77), np.int64)
    for number, name in enumerate(NAMES):
        own = row(clip, name)
        ids[number, : len(own)] = own
    shape = (LENGTH, table.shape[1])
    shape = shape if classes is None else (classes, *shape)
    context = 0.1 * np.random.default_rng(0).standard_normal(shape)
    tensors = {
        "ctx": context,
        "token_prefix": table[ids[:, :1]],
        "token_suffix": table[ids[:, 1 + LENGTH :]],
    }
    dtype = torch.float16 if half else torch.float32
    return {
        name: torch.tensor(np.array(part), dtype=dtype)
        for name, part in tensors.items()
    }


def save(folder, tensors):
    file = folder / "prompt_learner" / "model.pth.tar-50"
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": tensors, "epoch": 50, "val_result": None}, file)
    return file


def command(file, folder, names=NAMES):
    lines = folder / "classes.txt"
    lines.write_text("\n".join(name.replace(" ", "_") for name in names))
    return subprocess.run(
        [
            *(sys.executable, "-m", "fdbpl_jax.interop.import_torch"),
            *(f"--checkpoint={file}", f"--student={embedded('student')}"),
            *(f"--class_names={lines}", f"--export={folder / 'export'}"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.mark.parametrize("half", [True, False])
def test_an_imported_context_has_the_logits_it_had(clip, tmp_path, half):
    tensors = state(clip, half)
    done = command(save(tmp_path, tensors), tmp_path)
    assert done.returncode == 0, done.stderr
    prompts, facts = load_prompts(tmp_path / "export")
    context = prompts["positive"]["context"]
    np.testing.assert_array_equal(context, tensors["ctx"].float())
    assert facts["class_names"] == [name.replace(" ", "_") for name in NAMES]
    assert facts["student"]["sha256"] == clip.fingerprint
    text = clip.config.text
    prompt = PromptConfig(context_length=LENGTH, init="")
    layout = class_layout(clip.tokenizer, text, NAMES, prompt)
    ours = encode_context(text, clip.params["text"], layout, jnp.asarray(context))
    ids = torch.zeros(len(NAMES), 77, dtype=torch.long)
    for number, name in enumerate(NAMES):
        ids[number, : len(row(clip, name))] = torch.tensor(row(clip, name))
    slot = torch.full_like(ids, -1)
    slot[:, 1 : 1 + LENGTH] = torch.arange(LENGTH)
    eos = torch.tensor([len(row(clip, name)) - 1 for name in NAMES])
    tower = text_tower(text, clip.params["text"])
    theirs = encode_texts(tower, Texts(ids, slot, eos), tensors["ctx"].float())
    image = np.random.default_rng(1).standard_normal((9, ours.shape[1]))
    image /= np.linalg.norm(image, axis=1, keepdims=True)
    np.testing.assert_allclose(
        100 * image @ np.asarray(ours).T, 100 * image @ theirs.numpy().T, atol=1e-3
    )


def test_class_specific_contexts_need_their_classes(clip, tmp_path):
    tensors = read_context(save(tmp_path, state(clip, classes=3)))
    assert check_context(tensors, clip, NAMES).shape[:2] == (3, LENGTH)
    with pytest.raises(UserError, match="'ctx' is of 3 classes; 2 names"):
        check_context(tensors, clip, NAMES[:2])


def _without(name):
    return lambda tensors: tensors.pop(name)


def _scaled(name, factor):
    def change(tensors):
        tensors[name] = tensors[name] * factor

    return change


def _narrow(tensors):
    tensors["ctx"] = tensors["ctx"][:, :-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("ctx"), "has no 'ctx' but token_prefix"),
        (_narrow, "wide"),
        (_scaled("ctx", float("nan")), "NaN"),
        (_scaled("token_prefix", 2), "'token_prefix' does not hold"),
        (_scaled("token_suffix", 0), "'token_suffix' does not hold.*'red dotted"),
    ],
)
def test_a_context_that_does_not_fit_is_refused(clip, tmp_path, change, message):
    tensors = state(clip)
    change(tensors)
    found = read_context(save(tmp_path, tensors))
    with pytest.raises(UserError, match=message):
        check_context(found, clip, NAMES)


def test_names_in_another_order_are_refused(clip, tmp_path):
    done = command(save(tmp_path, state(clip)), tmp_path, NAMES[::-1])
    assert done.returncode == 2
    assert "'green checked square'" in done.stderr
    assert not (tmp_path / "export").exists()


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def test_nothing_in_a_pickle_is_run(tmp_path):
    marker = tmp_path / "was here"
    file = tmp_path / "model.pth.tar-1"
    torch.save({"state_dict": {"ctx": Evil(marker)}}, file)
    with pytest.raises(UserError, match="no tensors read"):
        read_context(file)
    file.write_bytes(pickle.dumps(Evil(marker), protocol=2))
    with pytest.raises(UserError, match="no tensors read"):
        read_context(file)
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path, content):
    file = tmp_path / "model.pth.tar-2"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=r"model.pth.tar-2"):
        read_context(file)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    file = tmp_path / "model.pth.tar-3"
    torch.save({"weights": torch.ones(3)}, file)
    with pytest.raises(UserError, match="no state_dict"):
        read_context(file)

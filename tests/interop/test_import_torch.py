"""Contexts of CoOp's own checkpoints: the same logits, or a refusal in words."""

import os
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
from fdbpl_jax.interop.import_torch import check_context  # noqa: E402
from fdbpl_jax.interop.torch_file import read_state  # noqa: E402

NAMES = ("red dotted circle", "blue solid cross", "green checked square")
LENGTH = 4


@pytest.fixture(scope="module", name="clip")
def _clip():
    return load_clip(str(embedded("student")))


def row(clip, name):
    prompt = PromptConfig(context_length=LENGTH, init="")
    return class_row(clip.tokenizer, clip.config.text, name, prompt)[0]


def state(clip, half=True, classes=None, names=NAMES):
    """What CoOp saves: the context, and embeddings of 77 positions around its place."""
    table = np.asarray(clip.params["text"]["token_embedding"])
    ids = np.zeros((len(names), 77), np.int64)
    for number, name in enumerate(names):
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


class Warmup(torch.optim.lr_scheduler.LRScheduler):
    """CoOp's scheduler: its state holds another scheduler, an object."""

    def __init__(self, optimizer, successor):
        self.successor = successor
        super().__init__(optimizer)

    def get_lr(self):
        return [1e-5 for _ in self.base_lrs]


def save(folder, tensors):
    """As a trainer does: `weights_only=True` refuses the file."""
    file = folder / "prompt_learner" / "model.pth.tar-50"
    file.parent.mkdir(parents=True, exist_ok=True)
    parameter = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.SGD([parameter], 0.1, momentum=0.9)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)
    parameter.sum().backward()
    optimizer.step()
    checkpoint = {
        "state_dict": tensors,
        "epoch": 50,
        "optimizer": optimizer.state_dict(),
        "scheduler": Warmup(optimizer, cosine).state_dict(),
        "val_result": np.float64(63.2),
    }
    torch.save(checkpoint, file)
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        torch.load(file, weights_only=True)
    return file


def command(file, folder, names=NAMES):
    lines = folder / "classes.txt"
    path = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    lines.write_text("\n".join(name.replace(" ", "_") for name in names))
    return subprocess.run(
        [
            *(sys.executable, "-m", "fdbpl_jax.interop.import_torch"),
            *(f"--checkpoint={file}", f"--student={embedded('student')}"),
            *(f"--class_names={lines}", f"--export={folder / 'export'}"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
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
    tensors = read_state(save(tmp_path, state(clip, classes=3)))
    assert check_context(tensors, clip, NAMES).shape[:2] == (3, LENGTH)
    with pytest.raises(UserError, match="'ctx' is of 3 classes; 2 names"):
        check_context(tensors, clip, NAMES[:2])


def _without(name):
    return lambda tensors: tensors.pop(name)


def _scaled(name, factor):
    def change(tensors):
        tensors[name] = tensors[name] * factor

    return change


def _cut(name, *place):
    def change(tensors):
        tensors[name] = tensors[name][place]

    return change


def _numbered(tensors):
    tensors[0] = tensors.pop("ctx")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("ctx"), "has no 'ctx' but token_prefix"),
        (_cut("ctx", slice(None), slice(-1)), "wide"),
        (_cut("ctx", 0, 0), "'ctx' is ..; the text tower"),
        (_cut("ctx", slice(0)), "'ctx' is .0, "),
        (_cut("token_prefix", 0, 0, 0), "'token_prefix' is ..; 3 names"),
        (_cut("token_suffix", slice(0)), "'token_suffix' is .0, "),
        (_numbered, "holds '0'"),
        (_scaled("ctx", float("nan")), "NaN"),
        (_scaled("token_prefix", 2), "'token_prefix' does not hold"),
        (_scaled("token_suffix", 0), "'token_suffix' does not hold.*'red dotted"),
    ],
)
def test_a_context_that_does_not_fit_is_refused(clip, tmp_path, change, message):
    tensors = state(clip)
    change(tensors)
    with pytest.raises(UserError, match=message) as error:
        check_context(read_state(save(tmp_path, tensors)), clip, NAMES)
    assert "\n" not in str(error.value)


def test_names_in_another_order_are_refused(clip, tmp_path):
    done = command(save(tmp_path, state(clip)), tmp_path, NAMES[::-1])
    assert done.returncode == 2
    assert "'green checked square'" in done.stderr
    assert not (tmp_path / "export").exists()


def test_nothing_in_a_file_of_pytorch_is_run(tmp_path):
    marker = tmp_path / "was here"

    class Evil:
        def __reduce__(self):
            return Path.touch, (marker,)

    file = tmp_path / "model.pth.tar-1"
    torch.save({"state_dict": {"ctx": torch.ones(3)}, "evil": Evil()}, file)
    assert list(read_state(file)) == ["ctx"]
    torch.save({"state_dict": {"ctx": Evil()}}, file)
    with pytest.raises(UserError, match="'ctx', which is no name"):
        read_state(file)
    assert not marker.exists()


def test_files_of_old_versions_of_pytorch_are_named_so(tmp_path):
    file = tmp_path / "model.pth.tar-1"
    torch.save({"state_dict": {}}, file, _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match=r"before 1\.6"):
        read_state(file)


def test_imagenets_pairs_are_no_reason_to_refuse_its_contexts(clip, tmp_path):
    names = ("missile", "red", "missile", "sunglasses", "blue", "sunglasses")
    done = command(save(tmp_path, state(clip, names=names)), tmp_path, names)
    assert done.returncode == 0, done.stderr


def test_tensors_that_are_not_used_are_named(clip, tmp_path, caplog):
    tensors = state(clip)
    tensors["meta_net.linear1.weight"] = torch.ones(2, 2)
    check_context(read_state(save(tmp_path, tensors)), clip, NAMES)
    assert "meta_net.linear1.weight" in caplog.text

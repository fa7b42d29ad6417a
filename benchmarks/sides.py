"""Sides of a training step, ours and PyTorch's, of every method on the same problem."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks import problem as given
from benchmarks.sizes import cast, config_of, random_params
from benchmarks.stored import optim_of, our_name
from benchmarks.timing import Side
from benchmarks.torch_clip import torch_device
from benchmarks.torch_reference.coop import Coop
from benchmarks.torch_reference.fdbpl_release import FdbplRelease
from benchmarks.torch_reference.kdpl import Kdpl
from benchmarks.torch_reference.step import make_step
from benchmarks.torch_reference.towers import image_tower, text_tower
from fdbpl_jax.clip.config import ClipConfig
from fdbpl_jax.clip.image import ImageSettings
from fdbpl_jax.device import tower_dtype
from fdbpl_jax.learners.learner import Student
from fdbpl_jax.training.sources import Viewing, view_batch
from fdbpl_jax.training.state import init_state
from fdbpl_jax.training.step import run_steps

_SEED = 0

Towers = tuple[torch.nn.Module, torch.nn.Module]  # image, text
# A model whose forward pass is its loss, and its batch from pixels.
Model = tuple[torch.nn.Module, Callable[[torch.Tensor], tuple[torch.Tensor, ...]]]


class Pair(NamedTuple):
    """A student, a teacher, and the prompts of C classes."""

    student: ClipConfig
    teacher: ClipConfig
    student_params: dict[str, Any]  # of both towers
    teacher_params: dict[str, Any]
    problem: given.Problem  # the class prompts
    teacher_text: np.ndarray  # [C D'], L2-normalised


def make_pair(student: str, teacher: str, classes: int) -> Pair:
    """Make models with random weights of the named sizes, and C classes."""
    configs = config_of(student), config_of(teacher)
    params = [random_params(config, _SEED) for config in configs]
    problem = given.make_problem(configs[0], classes, _SEED, params[0]["text"])
    # Similar to each other, as class texts are in CLIP.
    rng = np.random.default_rng(_SEED)
    text = 1 + rng.standard_normal((classes, configs[1].projection))
    text /= np.linalg.norm(text, axis=-1, keepdims=True)
    return Pair(*configs, *params, problem, text.astype(np.float32))


def online_side(pair: Pair, batch: int, rounds: int | None) -> Side:
    """Return our KDPL: transfer of pixels, both image towers and one update."""
    problem = pair.problem
    optim = optim_of("coop+kdpl", batch)
    setup = given.make_setup(problem, "coop+kdpl", optim)
    hyper, frozen = given.make_hyper(optim), given.make_frozen(problem)
    viewing = Viewing(setup.student, towers_of(pair.teacher), prompted=False, keep=0)
    pixels = views(pair, batch)
    host = {"student": pixels, "teacher": pixels}, np.zeros(batch, np.int32)
    text = jnp.asarray(pair.teacher_text)
    params = [
        cast(towers, tower_dtype(""))
        for towers in (pair.student_params, pair.teacher_params)
    ]
    state = init_state(setup, given.make_prompts(problem, "coop+kdpl"))
    start = time.perf_counter()
    look = view_batch.lower(viewing, *params, text, *host).compile()
    update = run_steps.lower(setup, state, hyper, frozen, look.out_info).compile()
    seconds = time.perf_counter() - start

    def run() -> None:
        nonlocal state
        made = look(*params, text, *jax.device_put(host))
        state, metrics = update(state, hyper, frozen, made)
        jax.block_until_ready((state, metrics))

    return Side(our_name("coop+kdpl"), run, 1, seconds, rounds)


def torch_side(
    pair: Pair, method: str, batch: int, kind: str, rounds: int | None = None
) -> Side:
    """Return one update of PyTorch's model, from float pixels on the host.

    Args:
      pair: what is trained.
      method: a key of `_MODELS`.
      batch: B.
      kind: "whole" (prompts of 77 tokens), "cut" (to the longest), "compiled" (whole).
      rounds: see `Side`.
    """
    problem = pair.problem
    whole = problem.text.context_length
    tokens = int(problem.eos.max()) + 1 if kind == "cut" else whole
    model, batch_of = torch_model(pair, method, tokens)
    step = make_step(model, optim_of(method, batch), compiled=kind == "compiled")
    pixels = torch.from_numpy(views(pair, batch).transpose(0, 3, 1, 2).copy())
    data = [
        tensor.pin_memory() if torch.cuda.is_available() else tensor
        for tensor in batch_of(pixels.float() / 255)
    ]
    return Side(torch_name(method, kind), lambda: step(*data).item(), rounds=rounds)


def torch_model(pair: Pair, method: str, tokens: int) -> Model:
    """PyTorch's model of a method on its device, and a batch for it from pixels."""
    problem, vision = pair.problem, pair.student_params["vision"]
    towers = (
        image_tower(pair.student.vision, vision),
        text_tower(problem.text, problem.params),
    )
    model, batch_of = _MODELS[method](pair, towers, tokens)
    return model.to(torch_device()), batch_of


def _coop(pair: Pair, towers: Towers, tokens: int) -> Model:
    def batch_of(pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return pixels, torch.zeros(len(pixels), dtype=torch.long)

    return Coop(*towers, pair.problem, tokens), batch_of


def _kdpl(pair: Pair, towers: Towers, tokens: int) -> Model:
    teacher = image_tower(pair.teacher.vision, pair.teacher_params["vision"])
    text = torch.from_numpy(pair.teacher_text)
    model = Kdpl(*towers, teacher, text, pair.problem, tokens)
    return model, lambda pixels: (pixels,)


def _fdbpl_release(pair: Pair, towers: Towers, tokens: int) -> Model:
    def batch_of(pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return pixels, _labels(pair.problem, len(pixels))

    return FdbplRelease(*towers, pair.problem, tokens), batch_of


_MODELS = {"coop": _coop, "coop+kdpl": _kdpl, "coop+fdbpl_release": _fdbpl_release}


def torch_name(method: str, kind: str) -> str:
    """Return the name of a method's counterpart in PyTorch."""
    return f"{method}, PyTorch {kind}"


def towers_of(config: ClipConfig) -> Student:
    """Return the parts of a model that programs are compiled for."""
    return Student(config, ImageSettings(config.vision.image_size))


def views(pair: Pair, batch: int) -> np.ndarray:
    """Draw random pixels of the student's size, `[B S S 3]`."""
    size = pair.student.vision.image_size
    rng = np.random.default_rng(_SEED)
    return rng.integers(256, size=(batch, size, size, 3), dtype=np.uint8)


def _labels(problem: given.Problem, batch: int) -> torch.Tensor:
    kept = min(given.KEPT, problem.classes)
    label = torch.zeros(batch, problem.classes)
    label[:, :kept] = torch.softmax(torch.arange(kept, 0, -1).float(), -1)
    return label

"""A training step of every other learner and objective, ours and PyTorch's.

At each method's published batch size. Where only the text is learned ours reads stored
features and PyTorch's encodes the images, as its users' code does; where the image
tower is prompted both get the same pixels.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from ml_collections import ConfigDict

from benchmarks import problem as given
from benchmarks.pictures import write_pictures
from benchmarks.section import Section, Target, markdown_table
from benchmarks.sides import Pair, make_pair, towers_of, views
from benchmarks.sizes import cast, random_clip
from benchmarks.timing import Side, Timing, in_turns
from benchmarks.torch_clip import torch_device
from benchmarks.torch_reference.learners import Texts, Towers
from benchmarks.torch_reference.methods import Learned, make_step
from benchmarks.torch_reference.prompts import to_torch_pixels
from benchmarks.torch_reference.towers import image_tower, text_tower
from fdbpl_jax.clip.image import normalise
from fdbpl_jax.clip.layout import make_layout
from fdbpl_jax.clip.tokenizer import load_tokenizer
from fdbpl_jax.config import CropConfig, FdbplConfig
from fdbpl_jax.device import tower_dtype
from fdbpl_jax.methods.method import METHODS
from fdbpl_jax.methods.published import METHOD_OPTIM, METHOD_PROMPT
from fdbpl_jax.objectives.batch import Batch
from fdbpl_jax.prompts.learner import init_prompt
from fdbpl_jax.prompts.promptkd import init_running
from fdbpl_jax.shapes.pair import embedded
from fdbpl_jax.sources import Viewing, view_batch, view_source
from fdbpl_jax.state import Frozen, hyper_parameters
from fdbpl_jax.step import init_state, run_steps
from fdbpl_jax.train import Run, Trained, train

_SEED = 0
_SIZE = (375, 500)  # of the pictures


def measure(sizes: ConfigDict, log: Callable[[str], None]) -> Section:
    """Times both sides of every method, and what our pixel training waits for.

    Args:
      sizes: student and teacher (names in `benchmarks.sizes`), classes, methods,
        repeats; waiting (methods whose training loop is run on pictures), pictures (how
        many of them), epochs.
      log: takes a line.
    """
    pair = make_pair(sizes.student, sizes.teacher, sizes.classes)
    rows, targets, data = [], [], {}
    for name in sizes.methods:
        log(name)
        ours, theirs = in_turns(
            [_our_side(pair, name), _torch_side(pair, name)], sizes.repeats, log
        )
        rows.append(_row(name, ours, theirs))
        what = f"step of PyTorch's {name} over one of ours"
        targets.append(Target(what, 1, theirs.median / ours.median))
        data[name] = [ours.to_json(), theirs.to_json()]
    waits = {name: _waiting(sizes, pair, name) for name in sizes.waiting}
    data["waiting"] = waits
    header = ["method", "batch", "ours, s a step", "compiling s", "PyTorch, s a step"]
    shares = [[name, f"{100 * share:.1f} %"] for name, share in waits.items()]
    lines = [
        f"Student {sizes.student}, teacher {sizes.teacher}, random weights, "
        f"{sizes.classes} classes, {sizes.repeats} repeats; PyTorch's prompts are "
        "whole.",
        "",
        *markdown_table([*header, "ratio"], rows),
        "",
        f"Share of the training time in which the device waits for data, at most: "
        f"{sizes.pictures} pictures of 500×375 pixels, {sizes.epochs} epochs, the "
        "whole training loop.",
        "",
        *markdown_table(["method", "waits"], shares),
    ]
    return Section("Every learner and objective", lines, targets, data)


def _row(name: str, ours: Timing, theirs: Timing) -> list[str]:
    return [
        name,
        str(METHOD_OPTIM[name].batch_size),
        ours.shown(1, 3),
        f"{ours.compile_seconds:.1f}",
        theirs.shown(1, 3),
        f"{theirs.median / ours.median:.1f} ×",
    ]


def class_texts(problem: given.Problem, length: int) -> tuple[np.ndarray, ...]:
    """Ids, slots and EOS of the problem's prompts with `length` learned tokens.

    Of the problem's own four those beyond `length` stay as they are; more go before.
    """
    ids, slot, eos = problem.ids, problem.slot.copy(), problem.eos
    more = max(0, length - given.CONTEXT)
    if more:
        ids = np.insert(ids, [1] * more, 0, axis=1)[:, :-more]
        slot = np.insert(slot, [1] * more, -1, axis=1)[:, :-more]
    slot[:, 1 : 1 + given.CONTEXT + more] = -1
    slot[:, 1 : 1 + length] = np.arange(length)
    return ids, slot, eos + more


def start(pair: Pair, name: str) -> dict[str, Any]:
    """What the method learns, where it starts."""
    return init_prompt(
        jax.random.key(_SEED),
        METHODS[name].learner,
        pair.student,
        pair.student_params,
        load_tokenizer(embedded("student")),
        METHOD_PROMPT[name],
        pair.problem.classes,
        pair.teacher.projection,
    )


def fixed_texts(pair: Pair, name: str) -> tuple[np.ndarray | None, np.ndarray]:
    """Features of classes that are not learned, and of hand-written texts."""
    rng = np.random.default_rng(_SEED)
    found = 1 + rng.standard_normal((2, pair.problem.classes, pair.student.projection))
    found /= np.linalg.norm(found, axis=-1, keepdims=True)
    classes, written = found.astype(np.float32)
    learner = METHODS[name].learner
    fixed = {"vpt": classes, "promptkd": pair.teacher_text}.get(learner)
    return fixed, written


def our_frozen(pair: Pair, name: str) -> Frozen:
    """What our step of the method reads."""
    fixed, written = fixed_texts(pair, name)
    length = METHOD_PROMPT[name].context_length
    texts = class_texts(pair.problem, length)
    params = cast(pair.student_params, tower_dtype(""))
    return jax.device_put(
        Frozen(
            towers={key: params[key] for key in ("text", "vision")},
            scale=jnp.float32(given.SCALE),
            layout=None if fixed is not None else make_layout(*texts, False),
            negative=None,
            classes=fixed,
            written=written if METHODS[name].term else None,
            hyper=hyper_parameters(METHOD_OPTIM[name], FdbplConfig()),
        )
    )


def _our_side(pair: Pair, name: str) -> Side:
    method, batch = METHODS[name], METHOD_OPTIM[name].batch_size
    setup = given.make_setup(pair.problem, name)
    frozen, text = our_frozen(pair, name), jnp.asarray(pair.teacher_text)
    running = init_running(pair.teacher.projection)
    state = init_state(
        setup,
        {"positive": start(pair, name)},
        running if method.learner == "promptkd" else None,
    )
    teacher = towers_of(pair.teacher) if method.online else None
    viewing = Viewing(setup.student, teacher, method.prompts_images, keep=0)
    pixels = views(pair, batch)
    host = {"student": pixels, "teacher": pixels}, np.zeros(batch, np.int32)
    params = [
        cast(one, tower_dtype("")) for one in (pair.student_params, pair.teacher_params)
    ]
    begin = time.perf_counter()
    look = view_batch.lower(viewing, *params, text, *host).compile()
    update = run_steps.lower(setup, state, frozen, look.out_info).compile()
    seconds = time.perf_counter() - begin
    # Text learners read features that are stored: they are not made in each step.
    stored: Batch | None = None
    if not (method.prompts_images or method.online):
        stored = look(*params, text, *jax.device_put(host))

    def run() -> None:
        nonlocal state
        made = stored or look(*params, text, *jax.device_put(host))
        state, metrics = update(state, frozen, made)
        jax.block_until_ready((state, metrics))

    return Side(f"{name}, ours", run, 1, seconds)


def torch_method(pair: Pair, name: str) -> Learned:
    """PyTorch's model of the method, where ours starts."""
    method, problem = METHODS[name], pair.problem
    towers = Towers(
        image_tower(pair.student.vision, pair.student_params["vision"]),
        text_tower(problem.text, problem.params),
    )
    teacher = None
    if method.online:
        teacher = image_tower(pair.teacher.vision, pair.teacher_params["vision"])
    fixed, written = fixed_texts(pair, name)
    place = torch_device()
    texts = class_texts(problem, METHOD_PROMPT[name].context_length)
    tensors = [torch.from_numpy(part).long().to(place) for part in texts]
    learned = jax.tree.map(
        lambda leaf: torch.from_numpy(np.array(leaf)), start(pair, name)
    )
    model = Learned(
        method,
        towers,
        learned,
        None if fixed is not None else Texts(*tensors),
        None if fixed is None else torch.from_numpy(fixed).to(place),
        torch.from_numpy(written).to(place),
        teacher,
        given.SCALE,
    )
    return model.to(place)


def torch_batch(pair: Pair, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised pixels and labels, on the host."""
    batch = METHOD_OPTIM[name].batch_size
    seen = normalise(towers_of(pair.student).image, jnp.asarray(views(pair, batch)))
    return to_torch_pixels(np.array(seen)), torch.zeros(batch, dtype=torch.long)


def _torch_side(pair: Pair, name: str) -> Side:
    step = make_step(torch_method(pair, name), METHOD_OPTIM[name])
    batch = torch_batch(pair, name)
    return Side(f"{name}, PyTorch", lambda: step(*batch).item())


def _waiting(sizes: ConfigDict, pair: Pair, name: str) -> float:
    """The share of our training time that the device waits for data, at most.

    Of a method without a teacher.
    """
    method = METHODS[name]
    optim = dataclasses.replace(METHOD_OPTIM[name], epochs=sizes.epochs)
    clip = random_clip(sizes.student, _SEED, tower_dtype(""))
    steps = sizes.pictures // optim.batch_size
    setup = given.make_setup(pair.problem, name, optim)
    setup = dataclasses.replace(setup, steps_per_epoch=steps)
    frozen = our_frozen(pair, name)
    with tempfile.TemporaryDirectory() as folder:
        dataset = write_pictures(Path(folder), sizes.pictures, _SIZE, 2, _SEED)

        def once(where: str) -> Trained:
            source = view_source(
                method, clip, clip, None, 0, dataset, CropConfig(), optim, _SEED
            )
            state = init_state(setup, {"positive": start(pair, name)})
            run = Run(state, frozen.hyper, source, Path(folder) / where)
            return train(setup, [run], frozen, optim.epochs)[0]

        once("compiling")
        trained = once("compiled")
    return trained.waited / trained.seconds

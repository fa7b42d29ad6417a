"""Inputs of a training step of any method, for our side and PyTorch's."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks import problem as given
from benchmarks.sides import Pair, towers_of, views
from benchmarks.sizes import cast
from benchmarks.torch_clip import torch_device
from benchmarks.torch_reference.learners import Texts, Towers
from benchmarks.torch_reference.methods import Learned
from benchmarks.torch_reference.prompts import to_torch_pixels
from benchmarks.torch_reference.towers import image_tower, text_tower
from fdbpl_jax.clip.image import normalise
from fdbpl_jax.clip.layout import make_layout
from fdbpl_jax.clip.tokenizer import load_tokenizer
from fdbpl_jax.device import tower_dtype
from fdbpl_jax.learners.learner import Prompt, Prompts, Start, init_prompt, tree_of
from fdbpl_jax.methods.table import METHODS
from fdbpl_jax.shapes import embedded
from fdbpl_jax.training.sources import Viewing
from fdbpl_jax.training.state import Frozen, StepSetup, TrainState, init_state

_SEED = 0


def class_texts(problem: given.Problem, length: int) -> tuple[np.ndarray, ...]:
    """Return ids, slots and EOS of the problem's prompts with `length` learned tokens.

    Of the problem's four context tokens those beyond `length` stay fixed; additional
    ones go before.
    """
    ids, slot, eos = problem.ids, problem.slot.copy(), problem.eos
    more = max(0, length - given.CONTEXT)
    if more:
        ids = np.insert(ids, [1] * more, 0, axis=1)[:, :-more]
        slot = np.insert(slot, [1] * more, -1, axis=1)[:, :-more]
    slot[:, 1 : 1 + given.CONTEXT + more] = -1
    slot[:, 1 : 1 + length] = np.arange(length)
    return ids, slot, eos + more


def start(pair: Pair, name: str) -> Prompt:
    """What the method learns, where it starts."""
    begin = Start(
        pair.student,
        pair.student_params,
        load_tokenizer(embedded("student")),
        METHODS[name].prompt,
        pair.problem.classes,
        pair.teacher.projection,
    )
    return init_prompt(jax.random.key(_SEED), METHODS[name].learner, begin)


def initial_state(pair: Pair, name: str, setup: StepSetup) -> TrainState:
    """Where our training of the method starts."""
    learner, width = METHODS[name].learner, pair.teacher.projection
    running = learner.init_running(width) if learner.init_running else None
    return init_state(setup, Prompts(start(pair, name)), running)


def fixed_texts(pair: Pair, name: str) -> tuple[np.ndarray | None, np.ndarray]:
    """Return features of fixed class texts, and of hand-written texts."""
    rng = np.random.default_rng(_SEED)
    shape = 2, pair.problem.classes, pair.student.projection
    features = 1 + rng.standard_normal(shape)
    features /= np.linalg.norm(features, axis=-1, keepdims=True)
    classes, written = features.astype(np.float32)
    fixed = {"vpt": classes, "promptkd": pair.teacher_text}
    return fixed.get(METHODS[name].learner.name), written


def our_frozen(pair: Pair, name: str) -> Frozen:
    """Return the frozen inputs of our step."""
    fixed, written = fixed_texts(pair, name)
    texts = class_texts(pair.problem, METHODS[name].prompt.context_length)
    params = cast(pair.student_params, tower_dtype(""))
    return jax.device_put(
        Frozen(
            towers={key: params[key] for key in ("text", "vision")},
            scale=jnp.float32(given.SCALE),
            layout=None if fixed is not None else make_layout(*texts, False),
            negative=None,
            classes=fixed,
            written=written if METHODS[name].regularizer else None,
        )
    )


def viewing(pair: Pair, name: str) -> Viewing:
    """What our encoding of a batch of views is compiled for."""
    method = METHODS[name]
    teacher = towers_of(pair.teacher) if method.loss.online else None
    prompted = method.learner.prompts_images
    return Viewing(towers_of(pair.student), teacher, prompted, keep=0)


def torch_method(pair: Pair, name: str) -> Learned:
    """Return PyTorch's model of the method, with the same initial values as ours."""
    method, problem = METHODS[name], pair.problem
    towers = Towers(
        image_tower(pair.student.vision, pair.student_params["vision"]),
        text_tower(problem.text, problem.params),
    )
    teacher = None
    if method.loss.online:
        teacher = image_tower(pair.teacher.vision, pair.teacher_params["vision"])
    fixed, written = fixed_texts(pair, name)
    place = torch_device()
    texts = class_texts(problem, method.prompt.context_length)
    tensors = [torch.from_numpy(part).long().to(place) for part in texts]
    learned = jax.tree.map(
        lambda leaf: torch.from_numpy(np.array(leaf)), tree_of(start(pair, name))
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
    batch = METHODS[name].optim.batch_size
    pixels = jnp.asarray(views(pair, batch))
    normalised = np.array(normalise(towers_of(pair.student).image, pixels))
    return to_torch_pixels(normalised), torch.zeros(batch, dtype=torch.long)

"""Any method in plain PyTorch, for tests: losses, gradients and updates."""

from typing import Any, NamedTuple

import jax
import numpy as np
import torch

from benchmarks.torch_reference import learners, terms
from fdbpl_jax.config import FdbplConfig, TermConfig
from fdbpl_jax.learners.learner import Prompts, tree_of
from fdbpl_jax.losses.loss import Batch
from fdbpl_jax.methods.table import Method


class Rival(NamedTuple):
    """What a transcription is given."""

    towers: learners.Towers  # frozen
    texts: learners.Texts | None  # prompts of the classes
    negative: learners.Texts | None
    fixed: torch.Tensor | None  # class features that are not learned
    written: torch.Tensor | None  # of hand-written texts
    scale: float
    weights: FdbplConfig
    terms: TermConfig


class Outputs(NamedTuple):
    """What the losses of a batch are computed from."""

    image: torch.Tensor
    text: torch.Tensor
    pixels: torch.Tensor
    learned: dict[str, Any]
    batch: Batch


def tensor(array) -> torch.Tensor:
    return torch.from_numpy(np.array(array))


def learnable(prompts: Prompts) -> dict[str, Any]:
    """The prompts as nested dicts of leaves that gradients go to."""
    return jax.tree.map(lambda leaf: tensor(leaf).requires_grad_(), tree_of(prompts))


def losses(method: Method, rival: Rival, learned: dict, pixels, batch: Batch):
    """The method's loss, and ProGrad's other one (None for all other methods)."""
    learner, positive = method.learner.name, learned["positive"]
    image, text = learners.features(
        learner, rival.towers, positive, rival.texts, rival.fixed, pixels
    )
    outputs = Outputs(image, text, pixels, learned, batch)
    loss = _LOSSES[method.loss.name](rival, outputs)
    if method.regularizer is None:
        return loss, None
    return _REGULARIZERS[method.regularizer.name](rival, outputs, loss)


def _cross_entropy(rival: Rival, outputs: Outputs):
    label = tensor(outputs.batch.label).long()
    return terms.cross_entropy(outputs.image, outputs.text, rival.scale, label)


def _kdpl(rival: Rival, outputs: Outputs):
    teacher = tensor(outputs.batch.teacher)
    return terms.kdpl(outputs.image, outputs.text, rival.scale, teacher)


def _promptkd(rival: Rival, outputs: Outputs):
    features = outputs.image, outputs.text, rival.scale
    teacher = tensor(outputs.batch.teacher)
    return terms.promptkd(*features, teacher, rival.terms.promptkd)


def _fdbpl(rival: Rival, outputs: Outputs):
    weights = rival.weights
    lambdas = {
        "neg": weights.lambda_neg,
        "diff1": weights.lambda_diff1,
        "diff2": weights.lambda_diff2,
        "alpha": weights.alpha,
        "delta": weights.delta,
    }
    return terms.fdbpl(*_regions(rival, outputs), lambdas)


def _fdbpl_release(rival: Rival, outputs: Outputs):
    return terms.fdbpl_release(*_regions(rival, outputs))


def _regions(rival: Rival, outputs: Outputs):
    """Features under both prompts, scale, labels and weights."""
    batch, context = outputs.batch, outputs.learned["negative"]["context"]
    negative = learners.encode_texts(rival.towers.text, rival.negative, context)
    labels = tensor(batch.teacher), tensor(batch.weight)
    return outputs.image, outputs.text, negative, rival.scale, *labels


def _kgcoop(rival: Rival, outputs: Outputs, loss):
    distance = terms.kgcoop(outputs.text, rival.written)
    return loss + rival.terms.kgcoop * distance, None


def _promptsrc(rival: Rival, outputs: Outputs, loss):
    return loss + terms.promptsrc(*_pairs(rival, outputs)), None


def _prograd(rival: Rival, outputs: Outputs, loss):
    return loss, terms.zero_shot_distance(*_pairs(rival, outputs))


def _pairs(rival: Rival, outputs: Outputs):
    """Images and texts, each with prompts and without."""
    frozen = learners.encode_images(rival.towers.image, outputs.pixels)
    frozen = torch.nn.functional.normalize(frozen, dim=-1)
    return outputs.image, frozen, outputs.text, rival.written, rival.scale


_LOSSES = {
    "cross_entropy": _cross_entropy,
    "kdpl": _kdpl,
    "promptkd": _promptkd,
    "fdbpl": _fdbpl,
    "fdbpl_release": _fdbpl_release,
}
_REGULARIZERS = {"kgcoop": _kgcoop, "promptsrc": _promptsrc, "prograd": _prograd}


def gradient(method: Method, rival: Rival, learned: dict, pixels, batch: Batch):
    """Loss, and the gradient that an update goes by, leaf by leaf."""
    loss, general = losses(method, rival, learned, pixels, batch)
    leaves = jax.tree.leaves(learned)
    slopes = torch.autograd.grad(loss, leaves, retain_graph=True)
    if general is not None:
        other = torch.autograd.grad(general, leaves, allow_unused=True)
        slopes = [
            a if b is None else terms.prograd(a, b, rival.terms.prograd)
            for a, b in zip(slopes, other, strict=True)
        ]
    return loss, slopes


def updates(method: Method, rival: Rival, learned: dict, pixels, batches, rates):
    """Losses of one update per batch, and the leaves after each of them."""
    leaves, values, after = jax.tree.leaves(learned), [], []
    sgd = torch.optim.SGD(leaves, momentum=0.9, weight_decay=5e-4)
    for views, batch, rate in zip(pixels, batches, rates, strict=True):
        sgd.param_groups[0]["lr"] = float(rate)
        loss, slopes = gradient(method, rival, learned, views, batch)
        for leaf, slope in zip(leaves, slopes, strict=True):
            leaf.grad = slope
        sgd.step()
        values.append(loss.item())
        after.append([leaf.detach().clone() for leaf in leaves])
    return values, after

"""Any method in plain PyTorch, for tests: losses, gradients and updates."""

from typing import Any, NamedTuple

import jax
import numpy as np
import torch

from benchmarks.torch_reference import learners, terms
from fdbpl_jax.config import FdbplConfig, TermConfig
from fdbpl_jax.learners.learner import tree_of
from fdbpl_jax.losses.cross_entropy import CROSS_ENTROPY
from fdbpl_jax.losses.fdbpl_release import FDBPL_RELEASE
from fdbpl_jax.losses.kdpl import KDPL, PROMPTKD
from fdbpl_jax.losses.loss import Batch
from fdbpl_jax.losses.regularizers import KGCOOP, PROMPTSRC
from fdbpl_jax.methods.table import Method


class Rival(NamedTuple):
    """What a transcription is given.

    towers: frozen. texts, negative: class prompts. fixed: class features that are not
    learned. written: of hand-written texts. weights, terms: of the losses.
    """

    towers: learners.Towers
    texts: learners.Texts | None
    negative: learners.Texts | None
    fixed: torch.Tensor | None
    written: torch.Tensor | None
    scale: float
    weights: FdbplConfig
    terms: TermConfig


def tensor(array) -> torch.Tensor:
    return torch.from_numpy(np.array(array))


def learnable(tree) -> Any:
    """The same prompts, as nested dicts of leaves that gradients go to."""
    return jax.tree.map(lambda leaf: tensor(leaf).requires_grad_(), tree_of(tree))


def losses(method: Method, rival: Rival, learned: dict, seen, batch: Batch):
    """The task's loss, and ProGrad's other one (None for all other methods)."""
    image, text = learners.features(
        method.learner.name,
        rival.towers,
        learned["positive"],
        rival.texts,
        rival.fixed,
        seen,
    )
    loss = _task(method, rival, learned, image, text, batch)
    if method.regularizer is KGCOOP:
        return loss + rival.terms.kgcoop * terms.kgcoop(text, rival.written), None
    if method.regularizer is None:
        return loss, None
    frozen = learners.encode_images(rival.towers.image, seen)
    frozen = torch.nn.functional.normalize(frozen, dim=-1)
    both = (image, frozen, text, rival.written, rival.scale)
    if method.regularizer is PROMPTSRC:
        return loss + terms.promptsrc(*both), None
    return loss, terms.zero_shot_distance(*both)


def _task(method: Method, rival: Rival, learned: dict, image, text, batch: Batch):
    if method.loss is CROSS_ENTROPY:
        label = tensor(batch.label).long()
        return terms.cross_entropy(image, text, rival.scale, label)
    teacher = tensor(batch.teacher)
    if method.loss is KDPL:
        return terms.kdpl(image, text, rival.scale, teacher)
    if method.loss is PROMPTKD:
        weight = rival.terms.promptkd
        return terms.promptkd(image, text, rival.scale, teacher, weight)
    context = learned["negative"]["context"]
    negative = learners.encode_texts(rival.towers.text, rival.negative, context)
    both = (image, text, negative, rival.scale, teacher, tensor(batch.weight))
    if method.loss is FDBPL_RELEASE:
        return terms.fdbpl_release(*both)
    weights = rival.weights
    lambdas = {
        "neg": weights.lambda_neg,
        "diff1": weights.lambda_diff1,
        "diff2": weights.lambda_diff2,
        "alpha": weights.alpha,
        "delta": weights.delta,
    }
    return terms.fdbpl(*both, lambdas)


def gradient(method: Method, rival: Rival, learned: dict, seen, batch: Batch):
    """Loss, and the gradient that an update goes by, leaf by leaf."""
    loss, general = losses(method, rival, learned, seen, batch)
    leaves = jax.tree.leaves(learned)
    own = torch.autograd.grad(loss, leaves, retain_graph=True)
    if general is not None:
        other = torch.autograd.grad(general, leaves, allow_unused=True)
        own = [
            a if b is None else terms.prograd(a, b, rival.terms.prograd)
            for a, b in zip(own, other, strict=True)
        ]
    return loss, own


def updates(method: Method, rival: Rival, learned: dict, seen, batches, rates):
    """Losses of one update a batch, and the leaves after each of them."""
    leaves, found, after = jax.tree.leaves(learned), [], []
    sgd = torch.optim.SGD(leaves, momentum=0.9, weight_decay=5e-4)
    for pixels, batch, rate in zip(seen, batches, rates, strict=True):
        sgd.param_groups[0]["lr"] = float(rate)
        loss, gradients = gradient(method, rival, learned, pixels, batch)
        for leaf, slope in zip(leaves, gradients, strict=True):
            leaf.grad = slope
        sgd.step()
        found.append(loss.item())
        after.append([leaf.detach().clone() for leaf in leaves])
    return found, after

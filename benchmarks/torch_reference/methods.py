"""Training steps of all methods in PyTorch: pixels in, full prompts, one update.

Images go through the frozen tower at every step, also where only the text is learned,
and so does the teacher where the method has one.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from benchmarks.torch_reference import terms
from benchmarks.torch_reference.learners import Texts, Towers, encode_images, features
from fdbpl_jax.config import OptimConfig, TermConfig
from fdbpl_jax.losses.kdpl import PROMPTKD
from fdbpl_jax.losses.regularizers import KGCOOP, PROGRAD, PROMPTSRC
from fdbpl_jax.methods.table import Method

_TERMS = TermConfig()


class Learned(torch.nn.Module):
    """The losses of a method on a batch of normalised pixels.

    Args:
      method: its learner and losses.
      towers: the student's, frozen.
      learned: initial values, nested dicts of tensors.
      texts: class prompts; None where the text is `fixed`.
      fixed: features of the classes, where they are not learned.
      written: features of hand-written texts, where a regularizer needs them.
      teacher: the teacher's image tower, where the method has one.
      scale: exp(logit_scale) of both.
    """

    def __init__(
        self,
        method: Method,
        towers: Towers,
        learned: dict[str, Any],
        texts: Texts | None,
        fixed: torch.Tensor | None,
        written: torch.Tensor,
        teacher: torch.nn.Module | None,
        scale: float,
    ) -> None:
        super().__init__()
        self.method, self.scale = method, scale
        self.image, self.text, self.teacher = *towers, teacher
        self.learned, self.leaves = _parameters(learned)
        self.texts, self.fixed, self.written = texts, fixed, written

    def losses(self, pixels: torch.Tensor, label: torch.Tensor) -> list[torch.Tensor]:
        """Return the method's loss, and ProGrad's distance to the zero-shot model."""
        seen, learner, scale = pixels, self.method.learner, self.scale
        regularizer = self.method.regularizer
        towers = Towers(self.image, self.text)
        image, text = features(
            learner.name, towers, self.learned, self.texts, self.fixed, seen
        )
        if self.method.loss is PROMPTKD:
            with torch.no_grad():
                found = self.teacher(pixel_values=pixels).image_embeds
                found = functional.normalize(found, dim=-1)
                target = terms.logits_of(found, self.fixed, scale).softmax(-1)
            return [terms.promptkd(image, text, scale, target, _TERMS.promptkd)]
        loss = terms.cross_entropy(image, text, scale, label)
        if regularizer is KGCOOP:
            loss = loss + _TERMS.kgcoop * terms.kgcoop(text, self.written)
        if regularizer not in (PROMPTSRC, PROGRAD):
            return [loss]
        plain = image.detach()
        if learner.prompts_images:
            with torch.no_grad():
                plain = functional.normalize(encode_images(self.image, seen), dim=-1)
        both = (image, plain, text, self.written, scale)
        if regularizer is PROMPTSRC:
            return [loss + terms.promptsrc(*both)]
        return [loss, terms.zero_shot_distance(*both)]


def make_step(model: Learned, optim: OptimConfig) -> Callable[..., torch.Tensor]:
    """Return a function that does one update from a batch and returns the loss."""
    place = model.leaves[0].device
    sgd = torch.optim.SGD(
        model.leaves,
        lr=optim.lr,
        momentum=optim.momentum,
        weight_decay=optim.weight_decay,
    )

    def step(*batch: torch.Tensor) -> torch.Tensor:
        there = [tensor.to(place, non_blocking=True) for tensor in batch]
        half = place.type == "cuda"
        with torch.autocast(place.type, torch.bfloat16, enabled=half):
            found = model.losses(*there)
        own, *other = [
            torch.autograd.grad(loss, model.leaves, retain_graph=loss is not found[-1])
            for loss in found
        ]
        if other:
            own = [terms.prograd(a, b) for a, b in zip(own, other[0], strict=True)]
        for leaf, gradient in zip(model.leaves, own, strict=True):
            leaf.grad = gradient
        sgd.step()
        return found[0].detach()

    return step


def _parameters(tree: dict[str, Any]) -> tuple[dict[str, Any], torch.nn.ParameterList]:
    """Return the same tree of parameters, and their list for a module."""
    leaves = torch.nn.ParameterList()

    def make(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: make(part) for name, part in node.items()}
        leaves.append(torch.nn.Parameter(node))
        return leaves[-1]

    return make(tree), leaves

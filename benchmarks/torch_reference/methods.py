"""Training steps of all methods in PyTorch: pixels in, full prompts, one update.

Images go through the frozen tower at every step, also where only the text is learned,
and so does the teacher where the method has one.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from benchmarks.torch_reference import terms
from benchmarks.torch_reference.learners import Texts, Towers, encode_images, features
from fdbpl_jax.config import OptimConfig, TermConfig
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
      written: features of hand-written texts, for regularizers.
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
        """The method's loss, and ProGrad's distance to the zero-shot model."""
        towers = Towers(self.image, self.text)
        image, text = features(
            self.method.learner.name,
            towers,
            self.learned,
            self.texts,
            self.fixed,
            pixels,
        )
        outputs = _Outputs(image, text, pixels, label)
        loss = _LOSSES[self.method.loss.name](self, outputs)
        if self.method.regularizer is None:
            return [loss]
        return _REGULARIZERS[self.method.regularizer.name](self, outputs, loss)

    def frozen_image(self, outputs: "_Outputs") -> torch.Tensor:
        """Features of the images without prompts."""
        if not self.method.learner.prompts_images:
            return outputs.image.detach()
        with torch.no_grad():
            image = encode_images(self.image, outputs.pixels)
            return functional.normalize(image, dim=-1)


class _Outputs(NamedTuple):
    """What the losses of a batch are computed from."""

    image: torch.Tensor  # [B D]
    text: torch.Tensor  # [C D] or [B C D]
    pixels: torch.Tensor
    label: torch.Tensor  # [B]


def _cross_entropy(model: Learned, outputs: _Outputs) -> torch.Tensor:
    image, text, _, label = outputs
    return terms.cross_entropy(image, text, model.scale, label)


def _promptkd(model: Learned, outputs: _Outputs) -> torch.Tensor:
    with torch.no_grad():
        image = model.teacher(pixel_values=outputs.pixels).image_embeds
        image = functional.normalize(image, dim=-1)
        target = terms.logits_of(image, model.fixed, model.scale).softmax(-1)
    features = outputs.image, outputs.text, model.scale
    return terms.promptkd(*features, target, _TERMS.promptkd)


def _kgcoop(
    model: Learned, outputs: _Outputs, loss: torch.Tensor
) -> list[torch.Tensor]:
    return [loss + _TERMS.kgcoop * terms.kgcoop(outputs.text, model.written)]


def _promptsrc(
    model: Learned, outputs: _Outputs, loss: torch.Tensor
) -> list[torch.Tensor]:
    return [loss + terms.promptsrc(*_pairs(model, outputs))]


def _prograd(
    model: Learned, outputs: _Outputs, loss: torch.Tensor
) -> list[torch.Tensor]:
    return [loss, terms.zero_shot_distance(*_pairs(model, outputs))]


def _pairs(model: Learned, outputs: _Outputs) -> tuple[Any, ...]:
    """Images and texts, each with prompts and without."""
    image, text = outputs.image, outputs.text
    return image, model.frozen_image(outputs), text, model.written, model.scale


_LOSSES = {"cross_entropy": _cross_entropy, "promptkd": _promptkd}
_REGULARIZERS = {"kgcoop": _kgcoop, "promptsrc": _promptsrc, "prograd": _prograd}


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
            losses = model.losses(*there)
        gradients, *general = [
            torch.autograd.grad(loss, model.leaves, retain_graph=loss is not losses[-1])
            for loss in losses
        ]
        if general:
            pairs = zip(gradients, general[0], strict=True)
            gradients = [terms.prograd(a, b) for a, b in pairs]
        for leaf, gradient in zip(model.leaves, gradients, strict=True):
            leaf.grad = gradient
        sgd.step()
        return losses[0].detach()

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

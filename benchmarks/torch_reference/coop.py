"""CoOp: one context, cross-entropy with labels, images encoded at every step."""

import torch
from torch.nn import functional
from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection

from benchmarks.problem import Problem
from benchmarks.torch_reference.prompts import Prompt, class_logits, image_features


class Coop(torch.nn.Module):
    """CoOp's loss of a batch; its one parameter is the context.

    Args:
      image, text: the student's towers, frozen.
      problem: class prompts and the context to start from.
      tokens: positions of each prompt to run.
    """

    def __init__(
        self,
        image: CLIPVisionModelWithProjection,
        text: CLIPTextModelWithProjection,
        problem: Problem,
        tokens: int,
    ) -> None:
        super().__init__()
        self.image = image
        self.prompt = Prompt(text, problem, tokens)

    def forward(self, pixels: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy."""
        logits = class_logits(image_features(self.image, pixels), self.prompt())
        return functional.cross_entropy(logits, label)

"""CoOp+FDBPL as its authors released it: two full prompts, stored labels, live images.

Their second-order loss sums an antisymmetric quantity over ordered pairs, so it is zero
for any prompts. It costs almost nothing and is left out here, as in our code.
"""

import math

import torch
from torch.nn import functional
from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection

from benchmarks.problem import Problem
from benchmarks.torch_reference.prompts import Prompt, class_logits, image_features

_EPSILON = 1e-6
_COSINE_WEIGHT = 0.001


class FdbplRelease(torch.nn.Module):
    """The released loss of a batch of regions; its parameters are two contexts.

    Args:
      image, text: the student's towers, frozen.
      problem: class prompts and the context that both prompts start from.
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
        self.positive = Prompt(text, problem, tokens)
        self.negative = Prompt(text, problem, tokens)

    def forward(self, pixels: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return the loss; `teacher` are the stored labels' probabilities `[B C]`."""
        seen = image_features(self.image, pixels)
        logits = class_logits(seen, self.positive())
        negative = class_logits(seen, self.negative())
        entropy = -(teacher * (teacher + _EPSILON).log()).sum(-1)
        weight = (1 - entropy / math.log(teacher.shape[-1])).clamp(0, 1)

        log_p = functional.log_softmax(logits, dim=-1)
        forward = (torch.xlogy(teacher, teacher) - teacher * log_p).sum(-1)
        floor = teacher.clamp(min=_EPSILON).log()  # dropped classes have probability 0
        reverse = (log_p.exp() * (log_p - floor)).sum(-1)
        log_negative = functional.log_softmax(negative, dim=-1)
        negative_entropy = (log_negative.exp() * log_negative).sum(-1)
        alike = functional.cosine_similarity(logits, negative, dim=-1)
        return (
            (0.5 * weight * (forward + reverse)).mean()
            + ((1 - weight) * negative_entropy).mean()
            + _COSINE_WEIGHT * (weight * alike).mean()
        )

"""CoOp+KDPL: both image towers, teacher's and student's, at every step."""

import torch
from torch.nn import functional
from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection

from benchmarks.problem import Problem
from benchmarks.torch_reference.prompts import Prompt, class_logits, image_features


class Kdpl(torch.nn.Module):
    """KDPL's loss of a batch of images without labels; its parameter is the context.

    Args:
      image, text: the student's towers, frozen.
      teacher: the teacher's image tower, frozen.
      teacher_text: `[C D']`, the teacher's L2-normalised text features, computed once.
      problem: class prompts and the context to start from.
      tokens: positions of each prompt to run.
    """

    def __init__(
        self,
        image: CLIPVisionModelWithProjection,
        text: CLIPTextModelWithProjection,
        teacher: CLIPVisionModelWithProjection,
        teacher_text: torch.Tensor,
        problem: Problem,
        tokens: int,
    ) -> None:
        super().__init__()
        self.image, self.teacher = image, teacher
        self.prompt = Prompt(text, problem, tokens)
        self.register_buffer("teacher_text", teacher_text)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the mean of KL(teacher ‖ student) and KL(student ‖ teacher).

        Both logits use the student's logit scale, as in KDPL's code.
        """
        seen = image_features(self.teacher, pixels)
        teacher = functional.log_softmax(class_logits(seen, self.teacher_text), dim=-1)
        logits = class_logits(image_features(self.image, pixels), self.prompt())
        student = functional.log_softmax(logits, dim=-1)
        return 0.5 * _kl(teacher, student) + 0.5 * _kl(student, teacher)


def _kl(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """Return KL(p ‖ q) of log-probabilities, batch mean."""
    return functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True)

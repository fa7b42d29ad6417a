"""Class logits from images and a learnable context before every class name."""

import numpy as np
import torch
from torch.nn import functional
from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection

from benchmarks.problem import CONTEXT, SCALE, Problem


class Prompt(torch.nn.Module):
    """The text features of all classes under one learnable context.

    Args:
      tower: text tower, frozen; several prompts may share it.
      problem: ids of the prompts, and the context to start from.
      tokens: positions of each prompt to run; CoOp's code runs all 77.
    """

    def __init__(
        self, tower: CLIPTextModelWithProjection, problem: Problem, tokens: int
    ) -> None:
        super().__init__()
        self.encoder = tower.text_model.encoder
        self.final_norm = tower.text_model.final_layer_norm
        self.projection = tower.text_projection
        embeddings = tower.text_model.embeddings
        with torch.no_grad():
            ids = torch.from_numpy(problem.ids[:, :tokens]).long()
            fixed = embeddings.token_embedding(ids)
            position = embeddings.position_embedding.weight[:tokens].clone()
        self.register_buffer("before", fixed[:, :1].clone())
        self.register_buffer("after", fixed[:, 1 + CONTEXT :].clone())
        self.register_buffer("position", position)
        self.register_buffer("eos", torch.from_numpy(problem.eos).long())
        self.context = torch.nn.Parameter(torch.from_numpy(problem.context.copy()))

    def forward(self) -> torch.Tensor:
        """Return text features `[C D]`, L2-normalised."""
        classes = len(self.eos)
        context = self.context.expand(classes, -1, -1)
        x = torch.cat([self.before, context, self.after], dim=1) + self.position
        x = self.encoder(
            inputs_embeds=x, attention_mask=None, is_causal=True
        ).last_hidden_state
        rows = torch.arange(classes, device=x.device)
        x = self.final_norm(x[rows, self.eos])
        return functional.normalize(self.projection(x), dim=-1)


@torch.no_grad()
def image_features(
    tower: CLIPVisionModelWithProjection, pixels: torch.Tensor
) -> torch.Tensor:
    """Encode normalised pixels `[B 3 S S]` to L2-normalised features `[B D]`."""
    return functional.normalize(tower(pixel_values=pixels).image_embeds, dim=-1)


def class_logits(image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Return scaled cosines `[B C]` in float32, also under autocast."""
    # Autocast would multiply even float32 in bfloat16: off by a quarter in a logit.
    with torch.autocast(image.device.type, enabled=False):
        return SCALE * image.float() @ text.float().T


def to_torch_pixels(pixels: np.ndarray) -> torch.Tensor:
    """Convert normalised pixels `[B S S 3]` to PyTorch's layout."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))

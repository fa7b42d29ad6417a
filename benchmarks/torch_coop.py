"""CoOp's training step in plain PyTorch, on the text tower of `transformers`.

What a competent user writes: every class's whole prompt through the tower, token
embeddings looked up once, frozen parameters without gradients, fused attention with the
causal flag in place of a mask, only EOS projected.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from benchmarks.problem import CONTEXT, SCALE, Problem
from fdbpl_jax.clip.convert import to_hf_tensors
from fdbpl_jax.config import OptimConfig


class TorchCoop(torch.nn.Module):
    """Class logits of image features under one learnable context.

    Args:
      problem: weights and prompts.
      tokens: how many of each prompt's positions to run; CoOp's own code runs all 77.
    """

    def __init__(self, problem: Problem, tokens: int) -> None:
        super().__init__()
        tower = load_tower(problem)
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

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """Logits `[B C]` of L2-normalised image features `[B D]`."""
        classes = len(self.eos)
        context = self.context.expand(classes, -1, -1)
        x = torch.cat([self.before, context, self.after], dim=1) + self.position
        x = self.encoder(
            inputs_embeds=x, attention_mask=None, is_causal=True
        ).last_hidden_state
        x = self.final_norm(x[torch.arange(classes), self.eos])
        text = functional.normalize(self.projection(x), dim=-1)
        return SCALE * feature @ text.T


def load_tower(problem: Problem) -> CLIPTextModelWithProjection:
    """`transformers`' text tower with the problem's weights, frozen."""
    tensors = {
        name: torch.from_numpy(np.array(tensor))
        for name, tensor in to_hf_tensors({"text": problem.params}).items()
    }
    text = problem.text
    config = CLIPTextConfig(
        vocab_size=text.vocab_size,
        hidden_size=text.tower.width,
        intermediate_size=text.tower.mlp_width,
        projection_dim=len(tensors["text_projection.weight"]),
        num_hidden_layers=text.tower.layers,
        num_attention_heads=text.tower.heads,
        max_position_embeddings=text.context_length,
        hidden_act=text.tower.activation,
        layer_norm_eps=text.tower.norm_eps,
        eos_token_id=text.eos_token_id,
        attn_implementation="sdpa",
    )
    tower = CLIPTextModelWithProjection(config).eval().requires_grad_(False)
    tower.load_state_dict(tensors)
    return tower


def make_step(
    model: TorchCoop, optim: OptimConfig
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """One update of the context: features and labels in, the loss (detached) out."""
    optimiser = torch.optim.SGD(
        [model.context],
        lr=optim.lr,
        momentum=optim.momentum,
        weight_decay=optim.weight_decay,
    )

    def step(feature: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        loss = functional.cross_entropy(model(feature), label)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.detach()

    return step
